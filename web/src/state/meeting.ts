import { createStore } from "zustand/vanilla";

import type { Sending } from "../calls/media";
import type { Person } from "../calls/roster";

/** One stream of somebody else: their camera and microphone, or their screen. */
export interface Tile {
  /** What the focus calls the stream. */
  id: string;
  nick: string;
  /** Not themselves: what they show. */
  screen: boolean;
  media: MediaStream;
  muted: { audio: boolean; video: boolean };
  /** Between 0 and 1, chosen here. */
  volume: number;
}

export type MeetingPhase = "idle" | "joining" | "in" | "reconnecting" | "failed";

export interface Meeting {
  phase: MeetingPhase;
  /** The room's address. */
  room?: string;
  /** The condition of a failure. */
  reason?: string;
  tiles: ReadonlyMap<string, Tile>;
  /** Who takes part, ourselves included. */
  people: readonly Person[];
  /** The nickname of who speaks. */
  speaker?: string;
  sending: Sending;
  local?: MediaStreamTrack;
}

export const idle: Meeting = {
  phase: "idle",
  tiles: new Map(),
  people: [],
  sending: { microphone: false, camera: false, screen: false },
};

export const meeting = createStore<Meeting>(() => idle);

export function changeTile(id: string, change: (tile: Tile) => Partial<Tile>): void {
  meeting.setState(({ tiles }) => {
    const before = tiles.get(id);
    if (!before) return {};
    return { tiles: new Map(tiles).set(id, { ...before, ...change(before) }) };
  });
}
