import { discoItems } from "./disco";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, form, formValues, xml } from "./xml";

/** People without an account: docs/protocols/guests.md. */

const CREATE = `${ns.guests}#create-link`;
const LIST = `${ns.guests}#links`;
const REVOKE = `${ns.guests}#revoke-link`;

/** A link that holds, without what makes it one. */
export interface GuestLink {
  id: string;
  expires: Date;
  /** Who has made it. */
  by: string;
}

/** Whether a room lets us make links for guests. */
export async function mayInviteGuests(session: Session, room: string): Promise<boolean> {
  const commands = await discoItems(session, room, ns.commands);
  return commands.some(({ node }) => node === CREATE);
}

/** The address of a page on which whoever has it comes into the room. */
export async function makeGuestLink(session: Session, room: string): Promise<string> {
  const url = (await run(session, room, CREATE)).get("url")?.[0];
  if (!url) throw new Error("no link");
  return url;
}

/** The links of a room, the one that ends first before the others. */
export async function guestLinks(session: Session, room: string): Promise<GuestLink[]> {
  const lines = (await run(session, room, LIST)).get("links") ?? [];
  return readLinks(lines);
}

export function readLinks(lines: string[]): GuestLink[] {
  const links = lines.flatMap((line) => {
    const [id, expires, by] = line.split(" ");
    return id && expires && by ? [{ id, expires: new Date(expires), by }] : [];
  });
  return links.sort((one, other) => one.expires.getTime() - other.expires.getTime());
}

/** Takes a link back; who came by it is put out. */
export async function revokeGuestLink(session: Session, room: string, id: string): Promise<void> {
  await run(session, room, REVOKE, { id });
}

/** Has the room run a command at once (XEP-0050). */
async function run(session: Session, room: string, node: string, fields = {}) {
  const attributes = { xmlns: ns.commands, node, action: "execute" };
  const answer = await session.set(xml("command", attributes, form(ns.guests, fields)), room);
  return formValues(children(answer, "x")[0]);
}

/** What a link is good for. */
export interface Admission {
  jid: string;
  /** What to log in with. */
  token: string;
  room: string;
  /** What the room is called; may be empty. */
  name: string;
}

/** Fails with an error whose message is the server's code. */
export async function arrive(room: string, token: string): Promise<Admission> {
  const answer = await fetch("/api/v1/guests", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ room, token }),
  });
  const said = (await answer.json()) as { data?: Admission; error?: { code: string } };
  if (!answer.ok || !said.data) throw new Error(said.error?.code ?? "unreachable");
  return said.data;
}
