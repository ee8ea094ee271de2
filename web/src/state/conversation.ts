import type { Call } from "../calls/invitation";
import { type FileKind, fileOf } from "../xmpp/messages";

/** How far a message of ours has come. */
export type Progress = "uploading" | "waiting" | "sent" | "received" | "displayed" | "failed";

export interface Attachment {
  url: string;
  kind: FileKind;
  name: string;
  host: string;
}

export interface Message {
  /** What its sender named it. */
  id: string;
  /** What the archive named it; it can be read from there again. */
  archiveId?: string;
  /** A bare address in a chat, a nickname in a room. */
  sender: string;
  mine: boolean;
  body: string;
  attachment?: Attachment;
  time: number;
  progress?: Progress;
  /** Between 0 and 1, while a file is uploaded. */
  uploaded?: number;
  wantsReceipt?: boolean;
  markable?: boolean;
  /** Not said by anybody: how a call went. */
  note?: Note;
}

export type Note = "missed" | "ended" | "declined" | "cancelled";

/** One chat or room: what was said, oldest first. */
export interface Conversation {
  messages: Message[];
  /** Where the archive goes on into the past; nothing if it was not read yet. */
  oldest?: string;
  complete: boolean;
  loading: boolean;
  unread: number;
}

export const empty: Conversation = { messages: [], complete: false, loading: false, unread: 0 };

export function attachmentOf(url: string | undefined): Attachment | undefined {
  const file = url === undefined ? undefined : fileOf(url);
  return file && url !== undefined ? { url, ...file } : undefined;
}

const ORDER: Progress[] = ["failed", "uploading", "waiting", "sent", "received", "displayed"];

/** Adds messages; one that is there already is completed, not doubled. */
export function merge(messages: Message[], more: Message[]): Message[] {
  const result = [...messages];
  for (const message of more) {
    const at = result.findIndex((known) => isSame(known, message));
    const known = result[at];
    if (known) result[at] = complete(known, message);
    else result.push(message);
  }
  // Equal times keep the order in which they came.
  return result.sort((a, b) => a.time - b.time);
}

function isSame(one: Message, other: Message): boolean {
  // Both sides say that a call ended, and the archive has both.
  if (one.note || other.note) return one.id === other.id && Boolean(one.note && other.note);
  if (one.archiveId !== undefined && other.archiveId !== undefined) {
    return one.archiveId === other.archiveId;
  }
  return one.id !== "" && one.id === other.id && one.sender === other.sender;
}

function complete(known: Message, news: Message): Message {
  const further = news.mine ? furthest(known.progress, news.progress ?? "sent") : undefined;
  return {
    ...known,
    archiveId: known.archiveId ?? news.archiveId,
    // The archive's clock is the one that all devices see.
    time: news.archiveId === undefined ? known.time : news.time,
    attachment: news.attachment ?? known.attachment,
    progress: further,
  };
}

function furthest(one: Progress | undefined, other: Progress): Progress {
  return one !== undefined && ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;
}

/** Notes how far a message of ours has come; what was seen includes all before it (XEP-0333). */
export function progress(messages: Message[], id: string, reached: Progress): Message[] {
  const last = messages.findLastIndex((message) => message.mine && message.id === id);
  if (last < 0) return messages;
  const concerns = (n: number) => n === last || (reached === "displayed" && n < last);
  const advances = (message: Message) =>
    message.mine && message.progress !== "waiting" && message.progress !== "uploading";
  return messages.map((message, n) => {
    if (!concerns(n) || !message.mine || (n !== last && !advances(message))) return message;
    const now = reached === "failed" ? reached : furthest(message.progress, reached);
    return now === message.progress ? message : { ...message, progress: now };
  });
}

/** How a call ended, for the conversation; nothing if this device has no part in it. */
export function noteOf(call: Call): Note | undefined {
  switch (call.end) {
    case "hung-up":
    case "failed":
      return "ended";
    case "declined":
    case "busy":
      return "declined";
    case "cancelled":
    case "no-answer":
      return call.outgoing ? "cancelled" : "missed";
    default:
      return undefined;
  }
}

/** The same from what an archive kept of it. */
export function noteFrom(word: string, mine: boolean): Note | undefined {
  if (word === "finish") return "ended";
  if (word === "reject") return "declined";
  if (word === "retract") return mine ? "cancelled" : "missed";
  return undefined;
}

/** What to tell the others was seen: the newest message of theirs that asks for it. */
export function newestMarkable(messages: Message[]): Message | undefined {
  const newest = messages.findLast((message) => !message.mine && !message.note);
  return newest?.markable ? newest : undefined;
}
