import { discoItems } from "./disco";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, form, formValues, xml } from "./xml";

/** People without an account: docs/protocols/guests.md. */

const CREATE = `${ns.guests}#create-link`;

/** Whether a room lets us make links for guests. */
export async function mayInviteGuests(session: Session, room: string): Promise<boolean> {
  const commands = await discoItems(session, room, ns.commands);
  return commands.some(({ node }) => node === CREATE);
}

/** The address of a page on which whoever has it comes into the room. */
export async function makeGuestLink(session: Session, room: string): Promise<string> {
  const attributes = { xmlns: ns.commands, node: CREATE, action: "execute" };
  const answer = await session.set(xml("command", attributes, form(ns.guests, {})), room);
  const url = formValues(children(answer, "x")[0]).get("url")?.[0];
  if (!url) throw new Error("no link");
  return url;
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
