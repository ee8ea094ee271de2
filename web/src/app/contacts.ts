import { account, people, withEntry } from "../state/stores";
import { fetchAvatar, parseAvatarEvent } from "../xmpp/avatars";
import { bare, local, resource } from "../xmpp/jid";
import { ns } from "../xmpp/ns";
import { type Presence, parsePresence, strongest } from "../xmpp/presence";
import { addContact, fetchRoster, onRosterPush, removeContact } from "../xmpp/roster";
import { type Element, xml } from "../xmpp/xml";
import { type Client, client } from "./client";

export function attach({ session }: Client): void {
  onRosterPush(session, (jid, contact) => {
    people.setState(({ contacts }) => ({ contacts: withEntry(contacts, jid, contact) }));
  });
  session.on("presence", (stanza) => handlePresence(stanza));
  session.on("message", (message) => {
    const event = parseAvatarEvent(message);
    if (event) void showAvatar(event);
  });
}

export async function begin(): Promise<void> {
  const contacts = await fetchRoster(client().session);
  people.setState({
    contacts: new Map(contacts.map((contact) => [contact.jid, contact])),
    presence: new Map(),
  });
}

function handlePresence(stanza: Element): void {
  const from = bare(stanza.attrs.from ?? "");
  if (stanza.getChild("x", ns.mucUser) || stanza.getChild("x", ns.muc)) return;
  if (stanza.attrs.type === "subscribe") return handleRequest(from);
  const presence = parsePresence(stanza);
  if (!presence) return;
  people.setState((state) => {
    const devices = new Map(state.presence.get(from));
    if (presence.availability !== "offline") devices.set(resource(presence.from), presence);
    else if (resource(presence.from)) devices.delete(resource(presence.from));
    else devices.clear();
    return { presence: withEntry(state.presence, from, devices) };
  });
}

function handleRequest(from: string): void {
  const contact = people.getState().contacts.get(from);
  // We asked them too, so we know each other.
  if (contact?.asked || contact?.subscription === "to") {
    void client().session.send(xml("presence", { to: from, type: "subscribed" }));
    return;
  }
  people.setState(({ requests }) => ({ requests: new Set(requests).add(from) }));
}

export async function answerRequest(jid: string, accept: boolean): Promise<void> {
  const { session } = client();
  if (accept) await addContact(session, jid);
  else await session.send(xml("presence", { to: jid, type: "unsubscribed" }));
  people.setState(({ requests }) => {
    const left = new Set(requests);
    left.delete(jid);
    return { requests: left };
  });
}

export async function add(jid: string, name?: string): Promise<void> {
  await addContact(client().session, jid, name);
}

export async function remove(jid: string): Promise<void> {
  await removeContact(client().session, jid);
}

async function showAvatar({ jid, hash, type }: { jid: string; hash?: string; type?: string }) {
  const url = hash
    ? await fetchAvatar(client().session, jid, hash, type).catch(() => undefined)
    : undefined;
  people.setState(({ avatars }) => ({ avatars: withEntry(avatars, jid, url) }));
}

/** What a person is called on the screen. */
export function nameOf(jid: string): string {
  return people.getState().contacts.get(jid)?.name || local(jid) || jid;
}

export function presenceOf(
  jid: string,
  presence = people.getState().presence,
): Presence | undefined {
  return strongest(presence.get(jid)?.values() ?? []);
}

export function isMe(jid: string): boolean {
  return account.getState().jid === jid;
}
