import { bare } from "./jid";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, xml } from "./xml";

/** Somebody in the roster (RFC 6121, section 2). */
export interface Contact {
  jid: string;
  name?: string;
  groups: string[];
  subscription: "none" | "to" | "from" | "both";
  /** We asked to see their presence and they have not decided. */
  asked: boolean;
}

export async function fetchRoster(session: Session): Promise<Contact[]> {
  const query = await session.get(xml("query", { xmlns: ns.roster }));
  return children(query, "item").map(parseItem);
}

/** `handler` gets each change; a contact that was removed comes with nothing. */
export function onRosterPush(
  session: Session,
  handler: (jid: string, contact: Contact | undefined) => void,
): void {
  session.answer("set", ns.roster, "query", (query, from) => {
    // RFC 6121, section 2.1.6: from nobody but our own account.
    if (bare(from) !== session.bare) return undefined;
    for (const item of children(query, "item")) {
      const removed = item.attrs.subscription === "remove";
      handler(item.attrs.jid ?? "", removed ? undefined : parseItem(item));
    }
    return {};
  });
}

/** Adds somebody and asks to see their presence; they may see ours. */
export async function addContact(session: Session, jid: string, name?: string): Promise<void> {
  await session.set(xml("query", { xmlns: ns.roster }, xml("item", { jid, name })));
  await session.send(xml("presence", { to: jid, type: "subscribed" }));
  await session.send(xml("presence", { to: jid, type: "subscribe" }));
}

export async function removeContact(session: Session, jid: string): Promise<void> {
  const item = xml("item", { jid, subscription: "remove" });
  await session.set(xml("query", { xmlns: ns.roster }, item));
}

function parseItem(item: Element): Contact {
  const { jid = "", name, subscription = "none", ask } = item.attrs;
  return {
    jid,
    name,
    groups: children(item, "group").map((group) => group.text()),
    subscription: subscription as Contact["subscription"],
    asked: ask === "subscribe",
  };
}
