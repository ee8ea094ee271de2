import { bare } from "./jid";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, form, xml } from "./xml";

/** A room that the account keeps (XEP-0402). */
export interface Bookmark {
  room: string;
  name?: string;
  nick?: string;
  password?: string;
  autojoin: boolean;
  /** What other clients put there, which is kept (section 5.3). */
  extensions?: Element;
}

export async function fetchBookmarks(session: Session): Promise<Bookmark[]> {
  const items = xml("items", { node: ns.bookmarks });
  try {
    const answer = await session.get(xml("pubsub", { xmlns: ns.pubsub }, items));
    return children(answer?.getChild("items"), "item").flatMap(parseItem);
  } catch (error) {
    // Nothing has been kept yet.
    if ((error as { condition?: string }).condition === "item-not-found") return [];
    throw error;
  }
}

export async function saveBookmark(session: Session, bookmark: Bookmark): Promise<void> {
  const { room, name, nick, password, autojoin, extensions } = bookmark;
  const conference = xml(
    "conference",
    { xmlns: ns.bookmarks, name, autojoin: String(autojoin) },
    nick !== undefined && xml("nick", {}, nick),
    password !== undefined && xml("password", {}, password),
    extensions,
  );
  const publish = xml("publish", { node: ns.bookmarks }, xml("item", { id: room }, conference));
  const options = form(ns.publishOptions, {
    "pubsub#persist_items": "true",
    "pubsub#max_items": "max",
    "pubsub#send_last_published_item": "never",
    "pubsub#access_model": "whitelist",
  });
  const payload = xml("pubsub", { xmlns: ns.pubsub }, publish, xml("publish-options", {}, options));
  await session.set(payload);
}

export async function removeBookmark(session: Session, room: string): Promise<void> {
  const retract = xml("retract", { node: ns.bookmarks, notify: "true" }, xml("item", { id: room }));
  await session.set(xml("pubsub", { xmlns: ns.pubsub }, retract));
}

/** Changes that another device of the account made. */
export function parseBookmarkEvent(
  message: Element,
  account: string,
): { changed: Bookmark[]; removed: string[] } | undefined {
  const items = message.getChild("event", ns.pubsubEvent)?.getChild("items");
  if (items?.attrs.node !== ns.bookmarks || bare(message.attrs.from ?? account) !== account) {
    return undefined;
  }
  return {
    changed: children(items, "item").flatMap(parseItem),
    removed: children(items, "retract").map((retract) => retract.attrs.id ?? ""),
  };
}

function parseItem(item: Element): Bookmark[] {
  const conference = item.getChild("conference", ns.bookmarks);
  if (!conference || !item.attrs.id) return [];
  const { name, autojoin } = conference.attrs;
  return [
    {
      room: item.attrs.id,
      name,
      nick: conference.getChildText("nick") ?? undefined,
      password: conference.getChildText("password") ?? undefined,
      autojoin: autojoin === "true" || autojoin === "1",
      extensions: conference.getChild("extensions"),
    },
  ];
}
