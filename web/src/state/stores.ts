import { createStore } from "zustand/vanilla";

import type { Services } from "../xmpp/disco";
import type { Presence } from "../xmpp/presence";
import type { Occupant } from "../xmpp/rooms";
import type { Contact } from "../xmpp/roster";
import type { SessionState } from "../xmpp/session";
import { type Conversation, empty } from "./conversation";

/** Who is logged in. */
export interface Account {
  /** Nobody: "offline". */
  state: SessionState;
  jid?: string;
  /** Without an account, in one room. */
  guest?: boolean;
  /** Not yet known: nothing is offered. */
  services: Services;
  /** The condition by which the last login failed. */
  refused?: string;
}

export const account = createStore<Account>(() => ({
  state: "offline",
  services: { relays: false },
}));

export interface People {
  contacts: ReadonlyMap<string, Contact>;
  /** By bare address, then by device. */
  presence: ReadonlyMap<string, ReadonlyMap<string, Presence>>;
  /** Addresses of pictures. */
  avatars: ReadonlyMap<string, string>;
  /** Who asks to see our presence. */
  requests: ReadonlySet<string>;
}

const nobody = (): People => ({
  contacts: new Map(),
  presence: new Map(),
  avatars: new Map(),
  requests: new Set(),
});

export const people = createStore<People>(nobody);

export interface Chats {
  /** By the address of the person or room. */
  conversations: ReadonlyMap<string, Conversation>;
  /** The one on the screen. */
  open?: string;
}

const silence = (): Chats => ({ conversations: new Map(), open: undefined });

export const chats = createStore<Chats>(silence);

export type RoomState = "entering" | "in" | "out";

export interface Room {
  jid: string;
  name: string;
  nick: string;
  state: RoomState;
  /** Why we are out of it. */
  reason?: string;
  subject?: string;
  password?: string;
  bookmarked: boolean;
  /** By nickname. */
  occupants: ReadonlyMap<string, Occupant>;
}

export interface Rooms {
  rooms: ReadonlyMap<string, Room>;
  invitations: ReadonlyMap<
    string,
    { room: string; from: string; reason?: string; password?: string }
  >;
}

const noRooms = (): Rooms => ({ rooms: new Map(), invitations: new Map() });

export const rooms = createStore<Rooms>(noRooms);

/** Forgets everything of the account, as after logging out. */
export function forget(): void {
  people.setState(nobody(), true);
  chats.setState(silence(), true);
  rooms.setState(noRooms(), true);
  account.setState({ state: "offline", services: { relays: false } }, true);
}

/** A copy of the map with one entry changed, or without it. */
export function withEntry<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  key: Key,
  value: Value | undefined,
): ReadonlyMap<Key, Value> {
  const copy = new Map(map);
  if (value === undefined) copy.delete(key);
  else copy.set(key, value);
  return copy;
}

export function changeConversation(
  jid: string,
  change: (conversation: Conversation) => Partial<Conversation>,
): void {
  chats.setState(({ conversations }) => {
    const before = conversations.get(jid) ?? empty;
    return { conversations: withEntry(conversations, jid, { ...before, ...change(before) }) };
  });
}

export function changeRoom(jid: string, change: (room: Room) => Partial<Room>): void {
  rooms.setState(({ rooms }) => {
    const before = rooms.get(jid);
    return before ? { rooms: withEntry(rooms, jid, { ...before, ...change(before) }) } : {};
  });
}
