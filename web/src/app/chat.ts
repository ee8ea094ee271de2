import { calls } from "../state/calls";
import {
  attachmentOf,
  type Message,
  merge,
  newestMarkable,
  noteFrom,
  noteOf,
  progress,
} from "../state/conversation";
import { notify } from "../state/notices";
import { account, changeConversation, chats, people, rooms } from "../state/stores";
import { isArchived, type Page, queryArchive } from "../xmpp/archive";
import { bare, resource } from "../xmpp/jid";
import {
  buildDisplayed,
  buildMessage,
  buildReceipt,
  carbonOf,
  type Incoming,
  parseMessage,
  peerOf,
} from "../xmpp/messages";
import { upload } from "../xmpp/upload";
import type { Element } from "../xmpp/xml";
import { xml } from "../xmpp/xml";
import { type Client, client } from "./client";
import { t } from "./i18n";

const PAGE = 40;
// Of one request to see more.
const PAGES = 10;
// What the list of chats is made of.
const RECENT = 200;

export function attach({ session }: Client): void {
  session.on("message", (element) => {
    if (isArchived(element)) return;
    const carbon = carbonOf(element, session.bare);
    const message = carbon?.message ?? element;
    handle(message, carbon?.sent ?? false);
  });
  session.on("acknowledged", (stanza) => reach(stanza, "sent"));
  // What was in the air when the stream ended for good is said again on the next.
  session.on("lost", (stanza) => reach(stanza, "waiting"));
  session.on("resumed", () => void sendWaiting());
}

/** Reads what was said while this device was away. */
export async function begin(): Promise<void> {
  const { session } = client();
  await session.set(xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
  const page = await queryArchive(session, { before: "", max: RECENT });
  const byPeer = new Map<string, Message[]>();
  for (const incoming of page.messages) {
    const message = toMessage(incoming);
    const peer = peerOf(incoming, session.bare);
    if (message) byPeer.set(peer, [...(byPeer.get(peer) ?? []), message]);
  }
  for (const [peer, messages] of byPeer) {
    changeConversation(peer, (before) => ({ messages: merge(before.messages, messages) }));
  }
  applyMarks(page);
  const { open } = chats.getState();
  if (open && !rooms.getState().rooms.has(open)) await loadOlder(open, true);
  await sendWaiting();
}

function handle(element: Element, sentByUs: boolean): void {
  const { session } = client();
  const type = element.attrs.type;
  const groupchat = type === "groupchat";
  const incoming = parseMessage(element, groupchat ? bare(element.attrs.from ?? "") : session.bare);
  const peer = groupchat ? bare(incoming.from) : peerOf(incoming, session.bare);
  if (incoming.error) return handleError(peer, incoming);
  handleMark(peer, incoming);
  const message = toMessage(incoming);
  if (!message) return;
  changeConversation(peer, (before) => {
    const messages = merge(before.messages, [message]);
    const isNew = messages.length > before.messages.length && !message.mine;
    return { messages, unread: before.unread + (isNew ? 1 : 0) };
  });
  if (!message.mine && !sentByUs && incoming.wantsReceipt && isKnown(peer)) {
    void session.send(buildReceipt(incoming.from, element.attrs.id ?? incoming.id));
  }
  if (isLooking(peer)) markRead(peer);
}

/** Strangers are not told that somebody is here (XEP-0184, section 8). */
function isKnown(peer: string): boolean {
  const subscription = people.getState().contacts.get(peer)?.subscription;
  return subscription === "from" || subscription === "both";
}

function toMessage(incoming: Incoming): Message | undefined {
  const { jid } = account.getState();
  if (jid && incoming.call && incoming.delayed) return toNote(incoming, incoming.call, jid);
  if (!incoming.body || incoming.error || !jid) return undefined;
  const groupchat = incoming.type === "groupchat";
  const room = groupchat ? rooms.getState().rooms.get(bare(incoming.from)) : undefined;
  const sender = groupchat ? resource(incoming.from) : bare(incoming.from) || jid;
  // What a room itself says.
  if (groupchat && !sender) return undefined;
  const mine = groupchat ? sender === room?.nick : sender === jid;
  return {
    id: incoming.id,
    archiveId: incoming.archiveId,
    sender,
    mine,
    body: incoming.body,
    attachment: attachmentOf(incoming.file),
    time: incoming.time,
    progress: mine ? "sent" : undefined,
    markable: incoming.markable,
  };
}

function toNote({ from, time, archiveId }: Incoming, call: Element, jid: string) {
  const mine = bare(from) === jid;
  const note = noteFrom(call.name, mine);
  const id = call.attrs.id ?? "";
  return note && { id, archiveId, sender: bare(from), mine, body: "", time, note };
}

/** What went on here is in the archive too, but is not read from there now. */
calls.subscribe(({ view }, before) => {
  const note = view && noteOf(view.call);
  if (!note || before.view?.call.phase === "ended") return;
  const { id, peer, outgoing } = view.call;
  const sender = outgoing ? (account.getState().jid ?? "") : peer;
  const message = { id, sender, mine: outgoing, body: "", time: Date.now(), note };
  changeConversation(peer, ({ messages, unread }) => ({
    messages: merge(messages, [message]),
    unread: unread + (note === "missed" && !isLooking(peer) ? 1 : 0),
  }));
});

function handleMark(peer: string, incoming: Incoming): void {
  const { received, displayed } = incoming;
  const { session } = client();
  if (bare(incoming.from) === session.bare) {
    // Read on another device of ours.
    if (displayed) changeConversation(peer, () => ({ unread: 0 }));
    return;
  }
  if (received) move(peer, received, "received");
  if (displayed && incoming.type !== "groupchat") move(peer, displayed, "displayed");
}

function applyMarks(page: Page): void {
  const { session } = client();
  for (const incoming of page.messages) handleMark(peerOf(incoming, session.bare), incoming);
}

function handleError(peer: string, incoming: Incoming): void {
  move(peer, incoming.id, "failed");
}

function reach(stanza: Element, reached: "sent" | "waiting"): void {
  const { id, to } = stanza.attrs;
  if (stanza.name !== "message" || !id || !to || !stanza.getChild("body")) return;
  if (reached === "sent") return move(bare(to), id, reached);
  changeConversation(bare(to), ({ messages }) => ({
    messages: messages.map((message) =>
      message.mine && message.id === id ? { ...message, progress: "waiting" } : message,
    ),
  }));
}

function move(
  jid: string,
  id: string,
  reached: "sent" | "received" | "displayed" | "failed",
): void {
  if (!chats.getState().conversations.has(jid)) return;
  changeConversation(jid, ({ messages }) => ({ messages: progress(messages, id, reached) }));
}

export async function sendText(jid: string, body: string): Promise<void> {
  const message = ownMessage(jid, body);
  changeConversation(jid, ({ messages }) => ({ messages: merge(messages, [message]) }));
  await put(jid, message);
}

function ownMessage(jid: string, body: string): Message {
  const room = rooms.getState().rooms.get(jid);
  return {
    id: crypto.randomUUID(),
    sender: room?.nick ?? client().session.bare,
    mine: true,
    body,
    time: Date.now(),
    progress: "waiting",
  };
}

async function put(jid: string, message: Message): Promise<void> {
  const { id, body, attachment } = message;
  const type = rooms.getState().rooms.has(jid) ? "groupchat" : "chat";
  const stanza = buildMessage({ id, to: jid, type, body, file: attachment !== undefined });
  // Not written: said when the connection is back.
  await client().session.send(stanza);
}

/** Says what could not be said while there was no connection. */
async function sendWaiting(): Promise<void> {
  for (const [jid, { messages }] of chats.getState().conversations) {
    const room = rooms.getState().rooms.get(jid);
    if (room && room.state !== "in") continue;
    for (const message of messages) {
      if (message.progress === "waiting") await put(jid, message);
    }
  }
}

export async function sendWaitingTo(room: string): Promise<void> {
  const messages = chats.getState().conversations.get(room)?.messages ?? [];
  for (const message of messages) if (message.progress === "waiting") await put(room, message);
}

/** Says a message again that did not arrive. */
export async function retry(jid: string, id: string): Promise<void> {
  const all = chats.getState().conversations.get(jid)?.messages ?? [];
  const message = all.find((one) => one.id === id && one.mine);
  if (!message) return;
  const again: Message = { ...message, progress: "waiting" };
  changeConversation(jid, ({ messages }) => ({
    messages: messages.map((one) => (one === message ? again : one)),
  }));
  await put(jid, again);
}

export async function sendFile(jid: string, file: File): Promise<void> {
  const { upload: service } = account.getState().services;
  if (!service) return notify(t("upload.none"), "error");
  if (service.maxBytes !== undefined && file.size > service.maxBytes) {
    return notify(t("upload.large", { name: file.name }), "error");
  }
  const message: Message = { ...ownMessage(jid, file.name), progress: "uploading", uploaded: 0 };
  changeConversation(jid, ({ messages }) => ({ messages: merge(messages, [message]) }));
  const change = (news: Partial<Message> | undefined) =>
    changeConversation(jid, ({ messages }) => ({
      messages: messages.flatMap((one) => {
        if (one.id !== message.id || !one.mine) return [one];
        return news ? [{ ...one, ...news }] : [];
      }),
    }));
  try {
    const url = await upload(client().session, service.jid, file, (uploaded) =>
      change({ uploaded }),
    );
    const sent: Partial<Message> = {
      body: url,
      attachment: attachmentOf(url),
      progress: "waiting",
    };
    change(sent);
    await put(jid, { ...message, ...sent });
  } catch {
    change(undefined);
    notify(t("upload.failed", { name: file.name }), "error");
  }
}

/** Reads what is before the oldest that is there; the newest if there is none. */
export async function loadOlder(jid: string, newest = false): Promise<void> {
  // They were not there.
  if (account.getState().guest) return changeConversation(jid, () => ({ complete: true }));
  const now = chats.getState().conversations.get(jid);
  if (now?.loading || (now?.complete && !newest)) return;
  changeConversation(jid, () => ({ loading: true }));
  try {
    let before = newest ? "" : (now?.oldest ?? "");
    // Receipts and marks fill pages as well, and what is there already brings nothing.
    for (let pages = 0; pages < PAGES; pages += 1) {
      const page = await readPage(jid, before, newest);
      if (page.added >= PAGE / 2 || page.complete || newest || !page.first) break;
      before = page.first;
    }
  } catch {
    // The user can ask again.
  } finally {
    changeConversation(jid, () => ({ loading: false }));
  }
}

async function readPage(jid: string, before: string, newest: boolean) {
  const { session } = client();
  const room = rooms.getState().rooms.has(jid);
  const where = room ? { room: jid } : { with: jid };
  const page = await queryArchive(session, { ...where, before, max: PAGE });
  const messages = page.messages.flatMap((incoming) => toMessage(incoming) ?? []);
  let added = 0;
  changeConversation(jid, (conversation) => {
    const merged = merge(conversation.messages, messages);
    added = merged.length - conversation.messages.length;
    // The newest page may not reach down to what is there: then there is a gap to be read next.
    const connected = added < messages.length || conversation.messages.length === 0;
    return {
      messages: merged,
      oldest: newest && connected ? (conversation.oldest ?? page.first) : page.first,
      complete: page.complete || (conversation.complete && connected),
    };
  });
  if (!room) applyMarks(page);
  return { added, complete: page.complete, first: page.first };
}

/** The user looks at this conversation now. */
export function open(jid: string | undefined): void {
  chats.setState({ open: jid });
  if (!jid) return;
  const conversation = chats.getState().conversations.get(jid);
  if (conversation?.oldest === undefined && !conversation?.complete) void loadOlder(jid, true);
  if (isLooking(jid)) markRead(jid);
}

function isLooking(jid: string): boolean {
  return chats.getState().open === jid && document.visibilityState === "visible";
}

function markRead(jid: string): void {
  const conversation = chats.getState().conversations.get(jid);
  if (!conversation || conversation.unread === 0) return;
  changeConversation(jid, () => ({ unread: 0 }));
  const newest = newestMarkable(conversation.messages);
  const room = rooms.getState().rooms.has(jid);
  if (!newest || !(room || isKnown(jid))) return;
  // In rooms by the id that the room gave it (XEP-0333, section 6).
  const id = room ? newest.archiveId : newest.id;
  if (id) void client().session.send(buildDisplayed(jid, room ? "groupchat" : "chat", id));
}

document.addEventListener("visibilitychange", () => {
  const { open: jid } = chats.getState();
  if (jid && isLooking(jid)) markRead(jid);
});
