import type { Client } from "../app/client";
import { type CallView, calls, changeCall } from "../state/calls";
import { bare } from "../xmpp/jid";
import { carbonOf, parseMessage } from "../xmpp/messages";
import { fetchIceServers } from "../xmpp/relays";
import type { Session } from "../xmpp/session";
import type { Element } from "../xmpp/xml";
import { xml } from "../xmpp/xml";
import * as dispatch from "./dispatch";
import {
  type Call,
  collide,
  type End,
  ended,
  hear,
  type Media,
  type Name,
  type Word,
} from "./invitation";
import { LocalMedia } from "./media";
import { Peer } from "./peer";
import { ring } from "./ringtone";
import { buildPropose, buildWord, mediaOf, parseWord, reason } from "./words";

/** Calls between two: at most one at a time. What the user sees of it is in `state/calls`. */

// As long as phones ring.
const RING_MILLISECONDS = 60_000;
// From "proceed" to media.
const CONNECT_MILLISECONDS = 30_000;

/** What belongs to the call and is not for the screen. */
interface Running {
  media: LocalMedia;
  peer?: Peer;
  timer?: ReturnType<typeof setTimeout>;
  stopRinging?: () => void;
}

let client: Client | undefined;
let running: Running | undefined;

const CONDITIONS: Record<End, string> = {
  "hung-up": "success",
  declined: "decline",
  busy: "busy",
  cancelled: "cancel",
  "no-answer": "timeout",
  elsewhere: "success",
  failed: "connectivity-error",
};

export function attach(opened: Client): void {
  client = opened;
  const { session } = opened;
  dispatch.attach(session);
  session.on("message", (element) => {
    const message = carbonOf(element, session.bare)?.message ?? element;
    const { call, from, delayed, error } = parseMessage(message, session.bare);
    // Old news do not ring.
    if (call && !delayed && !error) handleWord(call, from);
  });
}

dispatch.takeOffers((offer, from) => {
  const call = current();
  const expected =
    call && !call.outgoing && call.phase === "connecting" && running && !running.peer;
  if (!expected || offer.attrs.sid !== call.id || bare(from) !== call.peer) return false;
  void answer(offer, from);
  return true;
});

function current(): Call | undefined {
  return calls.getState().view?.call;
}

/** Calls somebody. */
export async function start(peer: string, media: Media): Promise<void> {
  const { session } = connected();
  if (running !== undefined) return;
  const call: Call = { id: crypto.randomUUID(), peer, outgoing: true, media, phase: "calling" };
  const local = begin(call);
  await session.send(xml("presence", { to: peer }, connected().caps));
  await session.send(buildPropose(peer, call.id, media));
  expire(RING_MILLISECONDS, () => hangUp("no-answer"));
  startRinging("outgoing");
  // While it rings, so that the user sees how they look.
  await local.open(media === "video");
}

/** Answers the call that rings here. */
export async function accept(): Promise<void> {
  const call = current();
  if (call?.phase !== "incoming" || !running) return;
  const { session, caps } = connected();
  note({ ...call, phase: "connecting" });
  expire(CONNECT_MILLISECONDS, () => hangUp("failed"));
  const local = running.media;
  const to = call.device ?? call.peer;
  await local.open(call.media === "video");
  if (current()?.phase !== "connecting") return;
  await session.send(xml("presence", { to }, caps));
  await session.send(buildWord(to, "proceed", call.id));
}

export function decline(): void {
  const call = current();
  if (call?.phase !== "incoming") return;
  say(call.device ?? call.peer, "reject", "decline");
  end("declined");
}

/** Ends whatever there is. */
export function hangUp(why: End = "hung-up"): void {
  const call = current();
  if (!call || !running || call.phase === "ended") return;
  if (call.phase === "incoming") return decline();
  const waiting = call.phase === "calling" || call.phase === "ringing";
  if (waiting) say(call.peer, "retract", CONDITIONS[why === "no-answer" ? why : "cancelled"]);
  else say(call.device ?? call.peer, "finish", CONDITIONS[why]);
  running.peer?.terminate(CONDITIONS[why]);
  end(waiting && why === "hung-up" ? "cancelled" : why);
}

export function hangUpAll(): void {
  hangUp();
}

/** The user has seen how the call ended. */
export function dismiss(): void {
  if (current()?.phase === "ended") calls.setState({ view: undefined });
}

export function media(): LocalMedia | undefined {
  return running?.media;
}

function connected(): Client {
  if (!client) throw new Error("nobody is logged in");
  return client;
}

function begin(call: Call): LocalMedia {
  const local = new LocalMedia();
  running = { media: local };
  local.onTrack = (kind, track) => {
    if (kind === "audio") running?.peer?.replaceTrack(kind, track);
    else running?.peer?.replaceTrack("video", pictureOf(local));
  };
  local.onChange = () => {
    changeCall({ local: pictureOf(local), sending: local.sending });
    void tellMuted();
  };
  const view: CallView = {
    call,
    remote: new MediaStream(),
    sending: local.sending,
    muted: { audio: false, video: false },
  };
  calls.setState({ view });
  return local;
}

async function tellMuted(): Promise<void> {
  const { peer, media: local } = running ?? {};
  if (!peer || !local) return;
  await peer.setMuted("audio", !local.sending.microphone);
  await peer.setMuted("video", !pictureOf(local));
}

/** There is one picture in a call: the screen, while it is shared. */
const pictureOf = (local: LocalMedia) => local.screen ?? local.video;

function handleWord(element: Element, from: string): void {
  const { session } = connected();
  const word = parseWord(element, from, session.bare);
  if (word.name === "propose") return handlePropose(element, word);
  const call = current();
  if (!call || (!word.own && bare(from) !== call.peer)) return;
  const heard = hear(call, word);
  if (heard.call.phase === "ended" && call.phase !== "ended") {
    // Both sides say it, so that archives know whatever happens to one of them.
    if (word.name === "finish") say(call.device ?? call.peer, "finish", "success");
    running?.peer?.terminate("success");
    return end(heard.call.end ?? "hung-up");
  }
  if (heard.call !== call) note(heard.call);
  if (heard.action === "initiate") void initiate(heard.call);
}

function handlePropose(element: Element, word: Word): void {
  const offered = mediaOf(element);
  if (word.own || !offered || !word.id) return;
  const from = bare(word.from);
  const { session } = connected();
  switch (collide(current(), word.id, from)) {
    case "busy":
      if (current()?.id !== word.id) void session.send(refuse(word, "busy"));
      return;
    case "ours-wins":
      void session.send(refuse(word, "expired", xml("tie-break")));
      return;
    case "theirs-wins":
      say(from, "retract", "expired", xml("tie-break"));
      end("cancelled");
      break;
    case "ring":
  }
  const call: Call = {
    id: word.id,
    peer: from,
    device: word.from,
    outgoing: false,
    media: offered,
    phase: "incoming",
  };
  begin(call);
  expire(RING_MILLISECONDS, () => end("no-answer"));
  startRinging("incoming");
  void session.send(buildWord(word.from, "ringing", word.id));
}

function refuse(word: Word, condition: string, ...more: Element[]): Element {
  return buildWord(word.from, "reject", word.id, reason(condition), ...more);
}

function say(to: string, name: Name, condition: string, ...more: Element[]): void {
  const id = current()?.id ?? "";
  void connected().session.send(buildWord(to, name, id, reason(condition), ...more));
}

/** They took our call: the media session is ours to begin. */
async function initiate(call: Call): Promise<void> {
  expire(CONNECT_MILLISECONDS, () => hangUp("failed"));
  try {
    const peer = await makePeer(call, call.device ?? call.peer, "initiator");
    const local = running?.media;
    if (!peer || !local) return;
    peer.connection.addTransceiver(local.audio ?? "audio", { direction: "sendrecv" });
    const picture = pictureOf(local);
    if (call.media === "video" || picture) {
      peer.connection.addTransceiver(picture ?? "video", { direction: "sendrecv" });
    }
    await peer.initiate();
    await tellMuted();
  } catch {
    hangUp("failed");
  }
}

/** We took their call and here is their session. */
async function answer(offer: Element, from: string): Promise<void> {
  const call = current();
  if (!call) return;
  try {
    const peer = await makePeer({ ...call, device: from }, from, "responder");
    await peer?.accept(offer, () => sendOurs(peer));
    await tellMuted();
  } catch {
    hangUp("failed");
  }
}

/** Sends what we have in all that they offer; what we have not yet can then be sent later. */
async function sendOurs(peer: Peer): Promise<void> {
  const local = running?.media;
  if (!local) return;
  for (const transceiver of peer.connection.getTransceivers()) {
    if (transceiver.direction === "stopped") continue;
    const { kind } = transceiver.receiver.track;
    const track = kind === "audio" ? local.audio : pictureOf(local);
    transceiver.direction = "sendrecv";
    await transceiver.sender.replaceTrack(track ?? null);
  }
}

async function makePeer(call: Call, other: string, role: "initiator" | "responder") {
  const { session } = connected();
  note(call);
  const mine = running;
  const iceServers = await iceServersOf(session);
  // Hung up meanwhile.
  if (!mine || running !== mine) return undefined;
  const sid = call.id;
  const peer = new Peer({
    session,
    sid,
    other,
    role,
    iceServers,
    events: {
      onTrack: (track) => addTrack(track),
      onAdded: () => sendOurs(peer),
      onRefused: () => void mine.media.setCamera(false),
      onConnected: () => {
        clearTimeout(mine.timer);
        const now = current();
        if (now?.phase === "connecting") note({ ...now, phase: "active" });
        changeCall({ since: calls.getState().view?.since ?? Date.now() });
      },
      onEnded: (why) => {
        dispatch.unregister(other, sid);
        const now = current();
        if (running !== mine || !now || now.phase === "ended") return;
        say(other, "finish", why);
        end(why === "success" ? "hung-up" : "failed");
      },
      onMuted: (kind, muted) => {
        const before = calls.getState().view?.muted ?? { audio: false, video: false };
        changeCall({ muted: { ...before, [kind]: muted } });
      },
    },
  });
  mine.peer = peer;
  dispatch.register(other, sid, peer);
  return peer;
}

function addTrack(track: MediaStreamTrack): void {
  const before = calls.getState().view?.remote.getTracks() ?? [];
  // A new object, so that elements that show it notice.
  changeCall({ remote: new MediaStream([...before, track]) });
}

async function iceServersOf(session: Session): Promise<RTCIceServer[]> {
  // Without them two in one network still find each other.
  return fetchIceServers(session).catch(() => []);
}

function note(call: Call): void {
  if (call.phase !== "incoming" && call.phase !== "calling" && call.phase !== "ringing") {
    running?.stopRinging?.();
  }
  changeCall({ call });
}

function startRinging(kind: "incoming" | "outgoing"): void {
  if (running) running.stopRinging = ring(kind);
}

function expire(milliseconds: number, then: () => void): void {
  if (!running) return;
  clearTimeout(running.timer);
  running.timer = setTimeout(then, milliseconds);
}

function end(why: End): void {
  const call = current();
  if (!call || !running) return;
  const over = running;
  running = undefined;
  clearTimeout(over.timer);
  over.stopRinging?.();
  over.media.onChange = () => {};
  over.media.close();
  over.peer?.terminate(CONDITIONS[why]);
  changeCall({ call: ended(call, why), local: undefined, remote: new MediaStream() });
}
