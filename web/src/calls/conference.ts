import type { Client } from "../app/client";
import { idle, meeting } from "../state/meeting";
import { discoInfo } from "../xmpp/disco";
import { bare, resource } from "../xmpp/jid";
import { ns } from "../xmpp/ns";
import { fetchIceServers } from "../xmpp/relays";
import { children, type Element, xml } from "../xmpp/xml";
import * as dispatch from "./dispatch";
import type { LocalMedia } from "./media";
import { Peer } from "./peer";
import { Received } from "./received";
import { parseRoster } from "./roster";

/** The conference of a room, through its focus: docs/protocols/calls.md. One at a time. */

const RETRY = { milliseconds: 2_000, times: 10 };

/** The worst first; each receiver gets the one that its connection has room for. */
const LAYERS: RTCRtpEncodingParameters[] = [
  { rid: "l", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: "m", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: "h", maxBitrate: 1_700_000 },
];

interface Conference {
  room: string;
  focus: string;
  media: LocalMedia;
  up?: Peer;
  /** Our screen, which is a stream of its own. */
  screen?: Peer;
  /** All that comes from the others is to come in one session. */
  gathers: boolean;
  /** What comes from the others, by session. */
  down: Map<string, Peer>;
  tries: number;
  timer?: ReturnType<typeof setTimeout>;
}

let client: Client | undefined;
let current: Conference | undefined;

export function attach(opened: Client): void {
  client = opened;
  const { session } = opened;
  session.answer("set", ns.conferenceInfo, "conference-info", (info, from) => {
    if (!current || bare(from) !== current.focus) return undefined;
    const people = parseRoster(info);
    if (people) meeting.setState({ people });
    return {};
  });
}

dispatch.takeOffers((offer, from) => {
  if (!current || from !== current.focus) return false;
  void receive(current, offer);
  return true;
});

/** Where a room's conference is; nothing if it has none. */
export async function focusOf(room: string): Promise<string | undefined> {
  const info = await discoInfo(connected().session, room);
  return info.forms.get(ns.voiceRooms)?.get("conference")?.[0];
}

/** Joins with what `media` has open. The room has been entered. */
export async function join(room: string, media: LocalMedia): Promise<void> {
  leave();
  meeting.setState({ ...idle, phase: "joining", room });
  const focus = await focusOf(room).catch(() => undefined);
  if (!focus) return meeting.setState({ phase: "failed", reason: "none" });
  const conference: Conference = {
    room,
    focus,
    media,
    gathers: true,
    down: new Map(),
    tries: 0,
  };
  current = conference;
  const show = () => meeting.setState({ sending: media.sending, local: media.video });
  media.onTrack = (kind, track) => {
    if (kind === "screen") void share(conference);
    else conference.up?.replaceTrack(kind, track);
  };
  media.onChange = () => {
    show();
    void tellMuted(conference);
  };
  show();
  await connect(conference);
}

export function leave(): void {
  const conference = current;
  if (!conference) return meeting.setState(idle);
  current = undefined;
  clearTimeout(conference.timer);
  conference.up?.terminate("success");
  close(conference);
  conference.media.onChange = () => {};
  conference.media.onTrack = () => {};
  conference.media.close();
  meeting.setState(idle, true);
}

/** Joins again where the connection to the server began anew; the room has been entered. */
export function rejoin(room: string): void {
  if (current?.room === room) retry(current);
}

export function localMedia(): LocalMedia | undefined {
  return current?.media;
}

function connected(): Client {
  if (!client) throw new Error("nobody is logged in");
  return client;
}

async function connect(conference: Conference): Promise<void> {
  const { session } = connected();
  const { focus, media } = conference;
  const sid = crypto.randomUUID();
  const iceServers = await fetchIceServers(session).catch(() => []);
  if (current !== conference) return;
  const up = new Peer({
    session,
    sid,
    other: focus,
    role: "initiator",
    iceServers,
    events: {
      onTrack: () => {},
      onConnected: () => {
        conference.tries = 0;
        meeting.setState({ phase: "in" });
      },
      onJingle: (jingle) => hearSpeaker(jingle),
      onEnded: (why) => {
        dispatch.unregister(focus, sid);
        if (current === conference && conference.up === up) ended(conference, why);
      },
    },
  });
  if (conference.gathers) up.extras = [xml("gather", { xmlns: ns.welloCalls })];
  conference.up = up;
  dispatch.register(focus, sid, up);
  // Without a track it is a place for one that comes later.
  up.connection.addTransceiver(media.audio ?? "audio", { direction: "sendonly" });
  const sendEncodings = LAYERS;
  up.connection.addTransceiver(media.video ?? "video", { direction: "sendonly", sendEncodings });
  try {
    await up.initiate();
    await tellMuted(conference);
    await share(conference);
  } catch (error) {
    dispatch.unregister(focus, sid);
    up.connection.close();
    if (current !== conference || conference.up !== up) return;
    const { condition = "timeout" } = error as { condition?: string };
    const passing = ["timeout", "remote-server-timeout", "item-not-found"].includes(condition);
    if (passing && conference.tries > 0) retry(conference);
    else fail(conference, condition);
  }
}

/** Sends the screen that is shared, or ends that. */
async function share(conference: Conference): Promise<void> {
  const { focus, media, up } = conference;
  conference.screen?.terminate("success");
  if (!media.screen || !up) return;
  const sid = crypto.randomUUID();
  const screen = new Peer({
    session: connected().session,
    sid,
    other: focus,
    role: "initiator",
    iceServers: up.connection.getConfiguration().iceServers ?? [],
    category: "slides",
    events: {
      onTrack: () => {},
      onConnected: () => {},
      onEnded: (why) => {
        dispatch.unregister(focus, sid);
        if (conference.screen !== screen) return;
        conference.screen = undefined;
        if (why !== "success") void media.setScreen(false);
      },
    },
  });
  conference.screen = screen;
  dispatch.register(focus, sid, screen);
  screen.connection.addTransceiver(media.screen, { direction: "sendonly" });
  await screen.initiate().catch(() => screen.terminate("failed-application"));
}

async function tellMuted({ up, media }: Conference): Promise<void> {
  await up?.setMuted("audio", !media.sending.microphone);
  await up?.setMuted("video", !media.video);
}

/** What somebody else sends, or what all others do. */
async function receive(conference: Conference, offer: Element): Promise<void> {
  const { session } = connected();
  const { focus, down } = conference;
  const sid = offer.attrs.sid ?? "";
  const received = new Received(offer);
  const peer = new Peer({
    session,
    sid,
    other: focus,
    role: "responder",
    // The focus is reached directly, or as the session that sends is.
    iceServers: conference.up?.connection.getConfiguration().iceServers ?? [],
    events: {
      onTrack: (track, name) => received.show(track, name),
      onConnected: () => {},
      onMuted: (kind, muted, name) => received.mute(kind, muted, name),
      onJingle: (jingle) => {
        if (jingle.attrs.action === "content-add") received.add(jingle);
        if (jingle.attrs.action === "content-remove") received.remove(jingle);
      },
      onEnded: (why) => {
        dispatch.unregister(focus, sid);
        const ours = down.delete(sid) && current === conference;
        if (ours) received.clear();
        if (ours && received.gathered) lost(conference, why);
      },
    },
  });
  down.set(sid, peer);
  dispatch.register(focus, sid, peer);
  await peer.accept(offer).catch(() => peer.terminate("failed-application"));
}

/** The session by which everything comes has ended. */
function lost(conference: Conference, why: string): void {
  // What this browser cannot do at once it may be able to do one by one.
  if (["failed-application", "general-error"].includes(why)) conference.gathers = false;
  else if (!["connectivity-error", "failed-transport"].includes(why)) return;
  retry(conference);
}

function hearSpeaker(jingle: Element): void {
  const speaker = children(jingle, "speaker").find((one) => one.getNS() === ns.welloCalls);
  if (speaker) meeting.setState({ speaker: resource(speaker.attrs.occupant ?? "") || undefined });
}

function ended(conference: Conference, why: string): void {
  const passing = ["connectivity-error", "general-error", "gone", "timeout"].includes(why);
  if (passing) retry(conference);
  else fail(conference, why);
}

function retry(conference: Conference): void {
  const { up } = conference;
  conference.up = undefined;
  up?.terminate("connectivity-error");
  close(conference);
  conference.tries += 1;
  if (conference.tries > RETRY.times) return fail(conference, "connectivity-error");
  meeting.setState({ phase: "reconnecting", tiles: new Map() });
  clearTimeout(conference.timer);
  conference.timer = setTimeout(() => {
    if (current === conference) void connect(conference);
  }, RETRY.milliseconds);
}

function fail(conference: Conference, reason: string): void {
  if (current !== conference) return;
  leave();
  meeting.setState({ phase: "failed", room: conference.room, reason });
}

function close({ down, screen }: Conference): void {
  screen?.terminate("success");
  for (const peer of [...down.values()]) peer.terminate("success");
  down.clear();
}
