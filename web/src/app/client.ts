import * as conference from "../calls/conference";
import * as calls from "../calls/manager";
import { account, forget } from "../state/stores";
import { answerDisco, caps, findServices } from "../xmpp/disco";
import type { Admission } from "../xmpp/guests";
import { domain } from "../xmpp/jid";
import { LoginRefused, Session } from "../xmpp/session";
import { type Element, xml } from "../xmpp/xml";
import * as chat from "./chat";
import * as contacts from "./contacts";
import * as rooms from "./rooms";
import { forgetLogin, noTokens, savedAddress, tokensOf } from "./tokens";

/** The session of the account that is logged in, and what goes with each presence of it. */
export interface Client {
  session: Session;
  caps: Element;
}

let current: Client | undefined;

export function client(): Client {
  if (!current) throw new Error("nobody is logged in");
  return current;
}

export function webSocketAddress(): string {
  const { protocol, host } = window.location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/xmpp-websocket`;
}

/** Logs in with the password, or with what an earlier login left. */
export async function logIn(jid: string, password?: string): Promise<void> {
  const service = webSocketAddress();
  try {
    await open(new Session({ jid, password, service, tokens: tokensOf(jid) }), begin);
  } catch (error) {
    if (error instanceof LoginRefused) forgetLogin();
    throw error;
  }
}

/** Logs in with what a link to a room was good for. */
export async function logInAsGuest({ jid, token, room }: Admission): Promise<void> {
  const service = webSocketAddress();
  const session = new Session({ jid, bearer: token, service, tokens: noTokens() });
  const begun = new Promise<void>((resolve) => session.on("fresh", () => resolve()));
  await open(session, beginAsGuest);
  const services = { rooms: domain(room), relays: true };
  account.setState({ guest: true, services });
  await begun;
}

async function open(session: Session, begin: (opened: Client) => Promise<void>): Promise<void> {
  const opened = { session, caps: await caps() };
  current = opened;
  account.setState({ jid: session.bare, refused: undefined });
  session.on("state", (state) => {
    if (current !== opened) return;
    account.setState({ state });
    // Put out for good: what is on the screen belongs to nobody now.
    if (state === "offline") {
      current = undefined;
      leaveCalls();
      forget();
    }
  });
  answerDisco(session);
  for (const part of [contacts, chat, rooms, calls, conference]) part.attach(opened);
  session.on("fresh", () => void begin(opened));
  try {
    await session.start();
  } catch (error) {
    current = undefined;
    const refused = error instanceof LoginRefused ? error.condition : "unreachable";
    forget();
    account.setState({ refused });
    throw error;
  }
}

/** Goes on with the login that this browser remembers; false if there is none. */
export async function resume(): Promise<boolean> {
  const jid = savedAddress();
  if (!jid) return false;
  try {
    await logIn(jid);
    return true;
  } catch {
    return false;
  }
}

export function logOut(): Promise<void> {
  forgetLogin();
  return quit();
}

/** Ends the session; what this browser remembers of a login stays. */
export async function quit(): Promise<void> {
  const session = current?.session;
  leaveCalls();
  current = undefined;
  await session?.stop();
  forget();
}

/** What a new stream begins with. */
async function begin({ session, caps }: Client): Promise<void> {
  // Before presence: from then on messages come.
  const parts = [contacts.begin(), chat.begin()];
  await session.send(xml("presence", {}, caps));
  const found = findServices(session).then((services) => {
    if (current?.session === session) account.setState({ services });
  });
  await Promise.allSettled([...parts, found, rooms.begin()]);
}

/** A guest has no roster, no archive and no other devices. */
async function beginAsGuest({ session, caps }: Client): Promise<void> {
  const sent = session.send(xml("presence", {}, caps));
  // Those of an earlier stream: at once, before there can be others.
  rooms.enterAgain();
  await sent;
}

window.addEventListener("online", () => current?.session.wake());
window.addEventListener("pagehide", leaveCalls);

function leaveCalls(): void {
  calls.hangUpAll();
  conference.leave();
}
