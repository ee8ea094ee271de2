import { bare } from "./jid";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, xml } from "./xml";

/** Whose avatar changed and how, from an event of XEP-0084; without a hash there is none. */
export function parseAvatarEvent(
  message: Element,
): { jid: string; hash?: string; type?: string } | undefined {
  const items = message.getChild("event", ns.pubsubEvent)?.getChild("items");
  if (items?.attrs.node !== ns.avatarMetadata || !message.attrs.from) return undefined;
  const info = items.getChild("item")?.getChild("metadata", ns.avatarMetadata)?.getChild("info");
  return { jid: bare(message.attrs.from), hash: info?.attrs.id, type: info?.attrs.type };
}

const TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/** The picture as an address that the page can show. */
export async function fetchAvatar(
  session: Session,
  jid: string,
  hash: string,
  type = "image/png",
): Promise<string | undefined> {
  const items = xml("items", { node: ns.avatarData }, xml("item", { id: hash }));
  const answer = await session.get(xml("pubsub", { xmlns: ns.pubsub }, items), jid);
  const data = children(answer?.getChild("items"), "item")[0]?.getChildText("data", ns.avatarData);
  // No other type, SVG above all, has a place in a page of ours.
  return data && TYPES.includes(type)
    ? `data:${type};base64,${data.replace(/\s/g, "")}`
    : undefined;
}
