import { ns } from "../xmpp/ns";
import type { Answer, Session } from "../xmpp/session";
import { type Element, xml } from "../xmpp/xml";
import type { Peer } from "./peer";

/** Hands Jingle requests to the sessions that they belong to. */

const ERRORS = "urn:xmpp:jingle:errors:1";

/** Takes a session that somebody offers; false: not expected. */
type Taker = (offer: Element, from: string) => boolean;

const peers = new Map<string, Peer>();
const takers: Taker[] = [];

export function attach(session: Session): void {
  peers.clear();
  session.answer("set", ns.jingle, "jingle", (jingle, from) => dispatch(jingle, from));
}

export function takeOffers(taker: Taker): void {
  takers.push(taker);
}

export function register(from: string, sid: string, peer: Peer): void {
  peers.set(key(from, sid), peer);
}

export function unregister(from: string, sid: string): void {
  peers.delete(key(from, sid));
}

const key = (from: string, sid: string) => JSON.stringify([from, sid]);

function dispatch(jingle: Element, from: string): Answer {
  const { sid = "", action } = jingle.attrs;
  const peer = peers.get(key(from, sid));
  if (peer) {
    // Acknowledged at once: what follows may take as long as a camera takes to open.
    peer.handle(jingle).catch(() => peer.terminate("general-error"));
    return {};
  }
  const taken = action === "session-initiate" && takers.some((taker) => taker(jingle, from));
  return taken ? {} : refusal();
}

function refusal(): Element {
  return xml(
    "error",
    { type: "cancel" },
    xml("item-not-found", { xmlns: ns.stanzas }),
    xml("unknown-session", { xmlns: ERRORS }),
  );
}
