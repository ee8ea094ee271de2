import { createStore } from "zustand/vanilla";

import type { Call } from "../calls/invitation";
import type { Sending } from "../calls/media";

/** The call between two that there is, as the screen shows it. */
export interface CallView {
  call: Call;
  remote: MediaStream;
  /** Our picture. */
  local?: MediaStreamTrack;
  sending: Sending;
  /** What they have switched off. */
  muted: { audio: boolean; video: boolean };
  /** When media came. */
  since?: number;
}

export const calls = createStore<{ view?: CallView }>(() => ({}));

export function changeCall(change: Partial<CallView>): void {
  calls.setState(({ view }) => (view ? { view: { ...view, ...change } } : {}));
}
