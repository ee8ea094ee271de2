import { bare } from "./jid";
import { type Incoming, parseMessage } from "./messages";
import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, form, xml } from "./xml";

/** A page of an archive (XEP-0313), oldest first. */
export interface Page {
  messages: Incoming[];
  /** Where the page before this one ends. */
  first?: string;
  last?: string;
  /** Nothing is older, or newer if the page was asked for by `after`. */
  complete: boolean;
}

export interface Query {
  /** The room whose archive it is; else the account's own. */
  room?: string;
  /** Only what was said with this address. */
  with?: string;
  /** An id that a page began with; "" for the newest page. */
  before?: string;
  after?: string;
  max: number;
}

let queries = 0;

export async function queryArchive(session: Session, query: Query): Promise<Page> {
  const { room, before, after, max } = query;
  const archive = room ?? session.bare;
  queries += 1;
  const queryid = `q${queries}`;
  const messages: Incoming[] = [];
  const stop = session.on("message", (message) => {
    const result = message.getChild("result", ns.archive);
    const from = bare(message.attrs.from ?? session.bare);
    if (result?.attrs.queryid !== queryid || from !== archive) return;
    const read = parseResult(result, archive);
    if (read) messages.push(read);
  });
  try {
    const set = xml(
      "set",
      { xmlns: ns.rsm },
      xml("max", {}, max),
      before !== undefined && xml("before", {}, before),
      after !== undefined && xml("after", {}, after),
    );
    const fields: Record<string, string> = query.with ? { with: query.with } : {};
    const payload = xml("query", { xmlns: ns.archive, queryid }, form(ns.archive, fields), set);
    const fin = await session.set(payload, room);
    const page = fin?.getChild("set", ns.rsm);
    return {
      messages,
      first: page?.getChildText("first") ?? undefined,
      last: page?.getChildText("last") ?? undefined,
      complete: fin?.attrs.complete === "true",
    };
  } finally {
    stop();
  }
}

/** Is this message part of a page, and no message of its own? */
export function isArchived(message: Element): boolean {
  return message.getChild("result", ns.archive) !== undefined;
}

function parseResult(result: Element, archive: string): Incoming | undefined {
  const forwarded = result.getChild("forwarded", ns.forward);
  const message = children(forwarded, "message")[0];
  if (!message) return undefined;
  const stamp = forwarded?.getChild("delay", ns.delay)?.attrs.stamp;
  return { ...parseMessage(message, archive, stamp), archiveId: result.attrs.id, delayed: true };
}
