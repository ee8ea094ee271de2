import { ns } from "./ns";
import type { Element } from "./xml";

export type Availability = "online" | "chat" | "away" | "xa" | "dnd" | "offline";

export interface Presence {
  from: string;
  availability: Availability;
  status?: string;
  priority: number;
}

export function parsePresence(stanza: Element): Presence | undefined {
  const { type, from = "" } = stanza.attrs;
  if (type !== undefined && type !== "unavailable") return undefined;
  const show = stanza.getChildText("show", ns.client) ?? stanza.getChildText("show");
  const shows: Availability[] = ["chat", "away", "xa", "dnd"];
  const shown = shows.find((one) => one === show) ?? "online";
  return {
    from,
    availability: type === "unavailable" ? "offline" : shown,
    status: stanza.getChildText("status") ?? undefined,
    priority: Number(stanza.getChildText("priority") ?? 0),
  };
}

/** What to show of somebody with several devices: the one that they prefer (RFC 6121, 4.7.2.3). */
export function strongest(devices: Iterable<Presence>): Presence | undefined {
  const order: Availability[] = ["chat", "online", "dnd", "away", "xa", "offline"];
  const rank = (presence: Presence) => order.indexOf(presence.availability);
  return [...devices].sort((a, b) => b.priority - a.priority || rank(a) - rank(b))[0];
}
