import * as conference from "../calls/conference";
import * as calls from "../calls/manager";
import { account, forget } from "../state/stores";
import { answerDisco, caps, findServices } from "../xmpp/disco";
import { LoginRefused, Session } from "../xmpp/session";
import { type Element, xml } from "../xmpp/xml";
import * as chat from "./chat";
import * as contacts from "./contacts";
import * as rooms from "./rooms";
import { forgetLogin, savedAddress, tokensOf } from "./tokens";

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
  const session = new Session({ jid, password, service, tokens: tokensOf(jid) });
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
    if (error instanceof LoginRefused) forgetLogin();
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

export async function logOut(): Promise<void> {
  const session = current?.session;
  leaveCalls();
  forgetLogin();
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

window.addEventListener("online", () => current?.session.wake());
window.addEventListener("pagehide", leaveCalls);

function leaveCalls(): void {
  calls.hangUpAll();
  conference.leave();
}
