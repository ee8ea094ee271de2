import { bare, domain } from "./jid";
import { ns } from "./ns";
import { children, type Element, xml } from "./xml";

/** What a message of a chat or room says, whichever way it came. */
export interface Incoming {
  id: string;
  from: string;
  to: string;
  type: string;
  time: number;
  body?: string;
  /** The address of a file (XEP-0066) that is the whole message. */
  file?: string;
  /** By whom its archive would know it again (XEP-0359). */
  archiveId?: string;
  wantsReceipt: boolean;
  markable: boolean;
  /** Ids of messages that have come to, or were seen by, who sent this. */
  received?: string;
  displayed?: string;
  invitation?: { room: string; reason?: string; password?: string };
  /** An element of XEP-0353. */
  call?: Element;
  error: boolean;
  /** Not live but from an archive or kept for us. */
  delayed: boolean;
}

/** `archive`: whose stanza-id counts. `stamp`: when, if the archive says so. */
export function parseMessage(message: Element, archive: string, stamp?: string): Incoming {
  const { id = "", from = "", to = "", type = "normal" } = message.attrs;
  const origin = message.getChild("origin-id", ns.stanzaIds)?.attrs.id;
  const ids = message.getChildren("stanza-id", ns.stanzaIds);
  const delay = message.getChild("delay", ns.delay)?.attrs.stamp;
  const body = message.getChildText("body") ?? undefined;
  const url = message.getChild("x", ns.oob)?.getChildText("url") ?? undefined;
  return {
    id: origin ?? id,
    from,
    to,
    type,
    time: Date.parse(stamp ?? delay ?? "") || Date.now(),
    body,
    file: url !== undefined && (body === undefined || body.trim() === url) ? url : undefined,
    archiveId: ids.find((one) => one.attrs.by === archive)?.attrs.id,
    wantsReceipt: message.getChild("request", ns.receipts) !== undefined,
    markable: message.getChild("markable", ns.markers) !== undefined,
    received:
      message.getChild("received", ns.receipts)?.attrs.id ??
      message.getChild("received", ns.markers)?.attrs.id,
    displayed: message.getChild("displayed", ns.markers)?.attrs.id,
    invitation: invitation(message),
    call: message.getChildElements().find((child) => child.getNS() === ns.jingleMessage),
    error: type === "error",
    delayed: stamp !== undefined || delay !== undefined,
  };
}

/** The message inside a carbon (XEP-0280), and whether this account sent it. */
export function carbonOf(
  message: Element,
  account: string,
): { message: Element; sent: boolean } | undefined {
  const carbon = message.getChildElements().find((child) => child.getNS() === ns.carbons);
  // Section 11: from nobody but our own account.
  if (!carbon || message.attrs.from !== account) return undefined;
  const inner = children(carbon.getChild("forwarded", ns.forward), "message")[0];
  return inner && { message: inner, sent: carbon.name === "sent" };
}

function invitation(message: Element): Incoming["invitation"] {
  const direct = message.getChild("x", ns.directInvite);
  if (direct?.attrs.jid) {
    const { jid, reason, password } = direct.attrs;
    return { room: jid, reason, password };
  }
  const x = message.getChild("x", ns.mucUser);
  const mediated = x?.getChild("invite");
  if (!x || !mediated || !message.attrs.from) return undefined;
  return {
    room: bare(message.attrs.from),
    reason: mediated.getChildText("reason") ?? undefined,
    password: x.getChildText("password") ?? undefined,
  };
}

export interface Outgoing {
  id: string;
  to: string;
  type: "chat" | "groupchat";
  body: string;
  /** The body is the address of a file. */
  file: boolean;
}

export function buildMessage({ id, to, type, body, file }: Outgoing): Element {
  return xml(
    "message",
    { id, to, type },
    xml("body", {}, body),
    file && xml("x", { xmlns: ns.oob }, xml("url", {}, body)),
    xml("origin-id", { xmlns: ns.stanzaIds, id }),
    // XEP-0184, section 5.3: not in rooms.
    type === "chat" && xml("request", { xmlns: ns.receipts }),
    xml("markable", { xmlns: ns.markers }),
  );
}

export function buildReceipt(to: string, id: string): Element {
  return xml(
    "message",
    { to, type: "chat" },
    xml("received", { xmlns: ns.receipts, id }),
    xml("store", { xmlns: ns.hints }),
  );
}

export function buildDisplayed(to: string, type: "chat" | "groupchat", id: string): Element {
  return xml(
    "message",
    { to, type },
    xml("displayed", { xmlns: ns.markers, id }),
    xml("store", { xmlns: ns.hints }),
  );
}

export type FileKind = "image" | "audio" | "video" | "file";

const KINDS: [FileKind, RegExp][] = [
  ["image", /\.(png|jpe?g|gif|webp|avif)$/i],
  ["audio", /\.(ogg|oga|opus|mp3|m4a|wav|weba)$/i],
  ["video", /\.(mp4|webm|mov|ogv)$/i],
];

/** What a file is, by its address, and its name. */
export function fileOf(
  address: string,
): { kind: FileKind; name: string; host: string } | undefined {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return undefined;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  const last = url.pathname.split("/").at(-1) ?? "";
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    // Shown as it is.
  }
  const kind = KINDS.find(([, pattern]) => pattern.test(name))?.[0] ?? "file";
  return { kind, name: name || url.host, host: url.host };
}

/** With whom a message that this account sent or got is a conversation. */
export function peerOf(message: Pick<Incoming, "from" | "to">, account: string): string {
  const from = bare(message.from);
  return from === account || from === "" ? bare(message.to) : from;
}

/** Rooms and servers have no inbox of their own in the list of chats. */
export function isPerson(jid: string): boolean {
  return jid.includes("@") && domain(jid) !== "";
}
