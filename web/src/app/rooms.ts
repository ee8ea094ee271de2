import { rejoin as rejoinConference } from "../calls/conference";
import { notify } from "../state/notices";
import {
  account,
  changeConversation,
  changeRoom,
  type Room,
  rooms,
  withEntry,
} from "../state/stores";
import {
  type Bookmark,
  fetchBookmarks,
  parseBookmarkEvent,
  removeBookmark,
  saveBookmark,
} from "../xmpp/bookmarks";
import { discoInfo, discoItems } from "../xmpp/disco";
import { bare, local } from "../xmpp/jid";
import { parseMessage } from "../xmpp/messages";
import {
  configureRoom,
  invitation,
  joinPresence,
  leavePresence,
  parseRoomPresence,
  type RoomPresence,
  subjectOf,
} from "../xmpp/rooms";
import { type Element, errorCondition } from "../xmpp/xml";
import { loadOlder, sendWaitingTo } from "./chat";
import { type Client, client } from "./client";
import { t } from "./i18n";

/** What each room that is being entered is waited for with. */
const entering = new Map<
  string,
  { done(created: boolean): void; failed(condition: string): void }
>();

export function attach({ session }: Client): void {
  session.on("presence", handlePresence);
  session.on("message", (message) => {
    const subject = subjectOf(message);
    const from = bare(message.attrs.from ?? "");
    if (subject !== undefined) changeRoom(from, () => ({ subject }));
    const event = parseBookmarkEvent(message, session.bare);
    for (const bookmark of event?.changed ?? []) follow(bookmark);
    for (const room of event?.removed ?? []) drop(room);
    handleInvitation(message);
  });
}

export async function begin(): Promise<void> {
  const { session } = client();
  enterAgain();
  for (const bookmark of await fetchBookmarks(session)) follow(bookmark);
}

/** The server took us out of them when the last stream ended. */
export function enterAgain(): void {
  for (const [jid, room] of rooms.getState().rooms) {
    if (room.state !== "out") void enter(jid, room.nick, room.password).catch(() => {});
  }
}

function follow({ room, name, nick, password, autojoin }: Bookmark): void {
  const known = rooms.getState().rooms.get(room);
  if (known) changeRoom(room, () => ({ bookmarked: true, name: name ?? known.name }));
  else
    add(room, { name: name ?? local(room), nick: nick ?? ownNick(), password, bookmarked: true });
  const idle = rooms.getState().rooms.get(room)?.state === "out";
  if (autojoin && idle) void enter(room, nick ?? ownNick(), password).catch(() => {});
}

function drop(jid: string): void {
  const room = rooms.getState().rooms.get(jid);
  if (!room) return;
  if (room.state !== "out") void client().session.send(leavePresence(jid, room.nick));
  rooms.setState((state) => ({ rooms: withEntry(state.rooms, jid, undefined) }));
}

function add(jid: string, more: Partial<Room>): void {
  const room: Room = {
    jid,
    name: local(jid),
    nick: ownNick(),
    state: "out",
    bookmarked: false,
    occupants: new Map(),
    ...more,
  };
  rooms.setState((state) => ({ rooms: withEntry(state.rooms, jid, room) }));
}

export function ownNick(): string {
  return local(account.getState().jid ?? "") || "guest";
}

/** Enters a room; true if that made it. Fails with an error whose message is the condition. */
async function enter(jid: string, nick: string, password?: string): Promise<boolean> {
  const { session, caps } = client();
  if (!rooms.getState().rooms.has(jid)) add(jid, { nick, password });
  changeRoom(jid, () => ({
    state: "entering",
    nick,
    password,
    reason: undefined,
    occupants: new Map(),
  }));
  const entered = new Promise<boolean>((resolve, reject) => {
    entering.set(jid, { done: resolve, failed: (condition) => reject(new Error(condition)) });
  });
  await session.send(joinPresence(jid, nick, caps, password));
  try {
    const created = await entered;
    changeRoom(jid, () => ({ state: "in" }));
    // The newest page, also of what was said while we were out.
    await loadOlder(jid, true);
    await sendWaitingTo(jid);
    rejoinConference(jid);
    return created;
  } catch (error) {
    changeRoom(jid, () => ({ state: "out", reason: (error as Error).message }));
    throw error;
  } finally {
    entering.delete(jid);
  }
}

function handlePresence(stanza: Element): void {
  const from = bare(stanza.attrs.from ?? "");
  if (stanza.attrs.type === "error") {
    entering.get(from)?.failed(errorCondition(stanza));
    return;
  }
  const news = parseRoomPresence(stanza);
  if (!news || !rooms.getState().rooms.has(news.room)) return;
  changeRoom(news.room, (room) => ({ occupants: occupants(room, news) }));
  if (!news.self) return;
  if (news.newNick) changeRoom(news.room, () => ({ nick: news.newNick ?? "" }));
  else if (news.occupant.availability === "offline") put(news);
  else {
    // The room may have given us another name than we asked for (status 210).
    changeRoom(news.room, () => ({ nick: news.occupant.nick }));
    entering.get(news.room)?.done(news.created);
  }
}

function occupants(room: Room, { occupant }: RoomPresence): Room["occupants"] {
  const gone = occupant.availability === "offline";
  return withEntry(room.occupants, occupant.nick, gone ? undefined : occupant);
}

/** We are out of the room, not by our own wish if there is a reason. */
function put({ room, removed }: RoomPresence): void {
  changeRoom(room, () => ({ state: "out", reason: removed, occupants: new Map() }));
  const name = rooms.getState().rooms.get(room)?.name ?? room;
  if (removed) notify(t(`room.${removed}`, { name }), "error");
}

function handleInvitation(message: Element): void {
  const { session } = client();
  const read = parseMessage(message, session.bare);
  const { invitation: invited } = read;
  if (!invited || read.error || rooms.getState().rooms.get(invited.room)?.state === "in") return;
  const inviter = message.getChild("x", "http://jabber.org/protocol/muc#user")?.getChild("invite");
  const from = bare(inviter?.attrs.from ?? read.from);
  rooms.setState(({ invitations }) => ({
    invitations: withEntry(invitations, invited.room, { ...invited, from }),
  }));
}

/** Enters a room that exists and keeps it. */
export async function join(jid: string, password?: string): Promise<void> {
  const info = await discoInfo(client().session, jid).catch((error: { condition?: string }) => {
    if (error.condition === "item-not-found") throw new Error("item-not-found");
    return undefined;
  });
  const name = info?.identities.find(({ category }) => category === "conference")?.name;
  dismissInvitation(jid);
  await enter(jid, ownNick(), password);
  await keep(jid, name || local(jid), password);
}

/** Enters without keeping it, as guests do. */
export async function visit(jid: string, name: string, nick: string): Promise<void> {
  add(jid, { name: name || local(jid), nick });
  await enter(jid, nick);
}

export async function create(name: string, membersOnly: boolean): Promise<string> {
  const service = account.getState().services.rooms;
  if (!service) throw new Error("service-unavailable");
  const jid = `${addressFor(name)}@${service}`;
  const created = await enter(jid, ownNick());
  // Somebody else's room of the same name: entered, not changed.
  if (created) await configureRoom(client().session, jid, { name, membersOnly });
  await keep(jid, name);
  return jid;
}

/** A readable address that nobody guesses, nor gets by accident. */
export function addressFor(name: string): string {
  const plain = name
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-");
  const short = plain.replace(/^-+|-+$/g, "").slice(0, 32) || "room";
  const random = crypto.getRandomValues(new Uint8Array(4));
  return `${short}-${Array.from(random, (byte) => byte.toString(36).padStart(2, "0")).join("")}`;
}

async function keep(room: string, name: string, password?: string): Promise<void> {
  changeRoom(room, () => ({ bookmarked: true, name }));
  const bookmark = { room, name, nick: ownNick(), password, autojoin: true };
  await saveBookmark(client().session, bookmark);
}

/** Leaves for good. */
export async function leave(jid: string): Promise<void> {
  drop(jid);
  changeConversation(jid, () => ({ unread: 0 }));
  await removeBookmark(client().session, jid).catch(() => {});
}

export async function rejoin(jid: string): Promise<void> {
  const room = rooms.getState().rooms.get(jid);
  await enter(jid, room?.nick ?? ownNick(), room?.password);
}

export async function invite(room: string, jid: string): Promise<void> {
  await client().session.send(invitation(room, jid));
}

export function dismissInvitation(room: string): void {
  rooms.setState(({ invitations }) => ({ invitations: withEntry(invitations, room, undefined) }));
}

/** Rooms that anybody may find. */
export async function publicRooms(): Promise<{ jid: string; name: string }[]> {
  const service = account.getState().services.rooms;
  if (!service) return [];
  const items = await discoItems(client().session, service);
  return items.map(({ jid, name }) => ({ jid, name: name || local(jid) }));
}
