import { useState } from "preact/hooks";

import { t } from "../app/i18n";
import { canShareScreen } from "../calls/devices";
import { hangUp, media } from "../calls/manager";
import type { CallView } from "../state/calls";
import { ControlBar } from "./ControlBar";

export function CallControls({ view: { call, sending } }: { view: CallView }) {
  const [busy, setBusy] = useState(false);
  if (call.phase === "ended") return null;
  return (
    <ControlBar
      sending={sending}
      media={media()}
      screen={canShareScreen()}
      endLabel={t("call.end")}
      busy={busy}
      onBusy={setBusy}
      onEnd={() => hangUp()}
    />
  );
}
