import { createStore } from "zustand/vanilla";

/** Something to tell the user that has no place on the page; read out by screen readers. */
export interface Notice {
  id: number;
  text: string;
  kind: "info" | "error";
}

export const notices = createStore<{ shown: Notice[] }>(() => ({ shown: [] }));

// Long enough to read two lines twice.
const MILLISECONDS = 8_000;

let count = 0;

export function notify(text: string, kind: Notice["kind"] = "info"): void {
  count += 1;
  const notice = { id: count, text, kind };
  notices.setState(({ shown }) => ({ shown: [...shown.slice(-3), notice] }));
  setTimeout(() => dismiss(notice.id), MILLISECONDS);
}

export function dismiss(id: number): void {
  notices.setState(({ shown }) => ({ shown: shown.filter((notice) => notice.id !== id) }));
}
