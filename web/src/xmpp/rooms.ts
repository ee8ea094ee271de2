import { bare, resource } from "./jid";
import { ns } from "./ns";
import { type Availability, parsePresence } from "./presence";
import type { Session } from "./session";
import { children, type Element, form, xml } from "./xml";

/** Somebody in a room (XEP-0045). */
export interface Occupant {
  nick: string;
  /** The account, if the room shows it. */
  jid?: string;
  role: "none" | "visitor" | "participant" | "moderator";
  affiliation: "none" | "outcast" | "member" | "admin" | "owner";
  availability: Availability;
  /** Has no account; the room says so. */
  guest: boolean;
  /** In the room's conference (XEP-0272). */
  inCall: boolean;
}

/** What a presence that came from a room means. */
export interface RoomPresence {
  room: string;
  occupant: Occupant;
  /** It is about ourselves (status 110). */
  self: boolean;
  /** The room has just been made (status 201). */
  created: boolean;
  /** Why somebody is gone who did not just leave. */
  removed?: "kicked" | "banned" | "destroyed" | "members-only" | "shutdown";
  newNick?: string;
}

export function parseRoomPresence(stanza: Element): RoomPresence | undefined {
  const x = stanza.getChild("x", ns.mucUser);
  const presence = parsePresence(stanza);
  if (!x || !presence || isFocus(stanza)) return undefined;
  const item = x.getChild("item")?.attrs ?? {};
  const codes = new Set(children(x, "status").map((status) => status.attrs.code));
  const renamed = codes.has("303");
  return {
    room: bare(presence.from),
    occupant: {
      nick: resource(presence.from),
      jid: item.jid && bare(item.jid),
      role: (item.role as Occupant["role"]) ?? "none",
      affiliation: (item.affiliation as Occupant["affiliation"]) ?? "none",
      availability: presence.availability,
      guest: stanza.getChild("guest", ns.guests) !== undefined,
      inCall: stanza.getChild("muji", ns.muji) !== undefined,
    },
    self: codes.has("110"),
    created: codes.has("201"),
    removed: presence.availability === "offline" ? removal(x, codes) : undefined,
    newNick: renamed ? item.nick : undefined,
  };
}

/** It shows who is in the room's conference, and is nobody itself. */
function isFocus(stanza: Element): boolean {
  return stanza.getChild("c", ns.caps)?.attrs.node === ns.welloFocus;
}

function removal(x: Element, codes: Set<string | undefined>): RoomPresence["removed"] {
  if (x.getChild("destroy")) return "destroyed";
  if (codes.has("301")) return "banned";
  if (codes.has("307")) return "kicked";
  if (codes.has("321") || codes.has("322")) return "members-only";
  return codes.has("332") ? "shutdown" : undefined;
}

/** Enters; the answer is presence. History comes from the archive. */
export function joinPresence(
  room: string,
  nick: string,
  caps: Element,
  password?: string,
  extras: Element[] = [],
): Element {
  const x = xml(
    "x",
    { xmlns: ns.muc },
    xml("history", { maxstanzas: "0" }),
    password !== undefined && xml("password", {}, password),
  );
  return xml("presence", { to: `${room}/${nick}` }, x, caps, ...extras);
}

export function leavePresence(room: string, nick: string): Element {
  return xml("presence", { to: `${room}/${nick}`, type: "unavailable" });
}

/** Opens a room that was just made (section 10.1.3). */
export async function configureRoom(
  session: Session,
  room: string,
  options: { name: string; membersOnly: boolean },
): Promise<void> {
  const settings = form("http://jabber.org/protocol/muc#roomconfig", {
    "muc#roomconfig_roomname": options.name,
    "muc#roomconfig_persistentroom": "1",
    "muc#roomconfig_membersonly": options.membersOnly ? "1" : "0",
    "muc#roomconfig_publicroom": options.membersOnly ? "0" : "1",
    // Members who know each other; and calls need to know who is who.
    "muc#roomconfig_whois": options.membersOnly ? "anyone" : "moderators",
  });
  await session.set(xml("query", { xmlns: ns.mucOwner }, settings), room);
}

/** Invites through the room (section 7.8.2), which makes them a member where that is needed. */
export function invitation(room: string, jid: string): Element {
  return xml("message", { to: room }, xml("x", { xmlns: ns.mucUser }, xml("invite", { to: jid })));
}

/** The subject that a message sets, if that is what it does (section 8.1). */
export function subjectOf(message: Element): string | undefined {
  if (message.attrs.type !== "groupchat" || message.getChild("body")) return undefined;
  return message.getChildText("subject") ?? undefined;
}
