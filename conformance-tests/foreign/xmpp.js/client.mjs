// Accounts, and clients that wait for stanzas.

import { execFileSync } from "node:child_process";
import { pbkdf2Sync } from "node:crypto";
import { client as xmppClient, xml } from "@xmpp/client";
import bitops from "sasl-scram-sha-1/lib/bitops.js";

// xmpp: is STARTTLS, xmpps: direct TLS, wss: WebSocket.
export const TRANSPORTS = ["xmpp", "xmpps", "wss"];

// Every wait for the server is bounded by this; a healthy one answers in milliseconds.
const MILLISECONDS = 20_000;

/**
 * The library's own waits for a thread of Node's pool twice in each of 10 000 rounds. A second on an idle machine
 * becomes fifteen on a busy one, which is most of what a login may take, and says nothing of the server.
 */
bitops.Hi = async (password, salt, rounds) =>
  new Uint8Array(pbkdf2Sync(password, salt, rounds, 20, "sha1"));

let target;
export function setTarget(description) {
  target = description;
}

let count = 0;
export const accounts = {
  /** Registers an account that no other test uses. */
  fresh(name) {
    const account = { username: `${name}-js-${++count}`, password: `pass of ${name}` };
    const [program, ...rest] = target.add_user.map((part) =>
      part.replace("{user}", account.username).replace("{password}", account.password));
    execFileSync(program, rest, { timeout: 60_000, stdio: "pipe" });
    return account;
  },
};

/** Rejects when `promise` has not settled in time. */
export function within(promise, what, milliseconds = MILLISECONDS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function service(transport) {
  if (transport === "wss") return target.websocket;
  const port = transport === "xmpps" ? target.tls : target.starttls;
  // The host is checked against the certificate for direct TLS.
  return `${transport}://${target.domain}:${port}`;
}

const open = [];

/** A client that is not started yet. */
export function connect(account, transport, options = {}) {
  const client = xmppClient({
    service: service(transport), domain: target.domain, ...account, ...options,
  });
  client.on("error", (error) => console.log(`${client.jid}: ${error}`));
  client.reconnect.delay = 10;
  listenBeforeWriting(client);
  const received = [];
  const waiters = [];
  client.on("stanza", (stanza) => {
    const index = waiters.findIndex(({ match }) => match(stanza));
    if (index >= 0) waiters.splice(index, 1)[0].resolve(stanza);
    else received.push(stanza);
  });
  open.push(client);
  return Object.assign(client, {
    expectBody(body) {
      const match = (stanza) => stanza.is("message") && stanza.getChildText("body") === body;
      const index = received.findIndex(match);
      if (index >= 0) return received.splice(index, 1)[0];
      return within(new Promise((resolve) => waiters.push({ match, resolve })), `message ${body}`);
    },
    bodies: () => received.map((stanza) => stanza.getChildText("body")),
    record(event) {
      const seen = [];
      client.on(event, (element) => seen.push(element));
      return seen;
    },
    acked: (body) => new Promise((resolve) => {
      client.streamManagement.on("ack", (stanza) => {
        if (stanza.getChildText("body") === body) resolve();
      });
    }),
    resumed: () => new Promise((resolve, reject) => {
      client.streamManagement.once("resumed", resolve);
      client.once("online", () => reject(new Error("a new session instead of the old one")));
    }),
    /** Loses the connection without closing the stream. */
    drop() {
      const gone = new Promise((resolve) => client.once("disconnect", resolve));
      const socket = client.socket.socket ?? client.socket;
      if (socket.destroy) socket.destroy();
      else socket.close();
      return within(gone, "end of the connection");
    },
  });
}

/**
 * xmpp.js 0.14 looks out for the server's stream header when its own is said to be written. On one
 * machine the answer can be there before that, and would be waited for in vain until the time-out.
 */
function listenBeforeWriting(client) {
  const write = client.write;
  client.write = async (text) => {
    write.call(client, text).catch((error) => client.emit("error", error));
  };
}

/** A client that has logged in and said that it is available. */
export async function online(account, transport, options) {
  const client = connect(account, transport, options);
  await within(client.start(), "login");
  await client.send(xml("presence"));
  return client;
}

connect.closeAll = async () => {
  for (const client of open.splice(0)) {
    client.reconnect.stop();
    if (client.status === "online") await within(client.stop(), "close").catch(() => {});
    else client.socket?.end?.();
  }
};
