import { type Client, client, type Element, type Token, xml } from "@xmpp/client";

import { OauthBearer } from "./bearer";
import { Emitter } from "./emitter";
import { bare, domain, local } from "./jid";
import { SCRAM, scram } from "./scram";

/** Where a session stands. "offline" is final. */
export type SessionState = "connecting" | "online" | "waiting" | "offline";

/** Keeps what logs this device in again without the password (XEP-0484). */
export interface TokenStore {
  /** Names this installation to the server (XEP-0388, user-agent). */
  deviceId: string;
  load(): Token | undefined;
  save(token: Token): void;
  remove(): void;
}

export interface SessionOptions {
  jid: string;
  password?: string;
  /** What a guest logs in with, each time. */
  bearer?: string;
  service: string;
  tokens: TokenStore;
}

type SessionEvents = {
  state: SessionState;
  /** A stream began whose server knows nothing of an earlier one. */
  fresh: undefined;
  /** A stream goes on where the connection was lost (XEP-0198). */
  resumed: undefined;
  message: Element;
  presence: Element;
  /** The server has taken a stanza of ours. */
  acknowledged: Element;
  /** A stanza of ours was lost with its stream. */
  lost: Element;
  error: Error;
};

/** Why a login failed, as the server says it. */
export class LoginRefused extends Error {
  constructor(readonly condition: string) {
    super(condition);
  }
}

// Of the handshake and of one answer.
const MILLISECONDS = 20_000;
const RECONNECT = { first: 1_000, most: 30_000 };

/** One account's stream, which comes back by itself. Knows nothing of what is said on it. */
export class Session extends Emitter<SessionEvents> {
  readonly bare: string;
  readonly domain: string;
  state: SessionState = "offline";
  private readonly client: Client;
  private password: string | undefined;
  private attempts = 0;

  constructor(private readonly options: SessionOptions) {
    super();
    this.bare = bare(options.jid);
    this.domain = domain(options.jid);
    this.password = options.password;
    this.client = this.connection();
    this.watch();
  }

  /** The full address. */
  get jid(): string {
    return this.client.jid?.toString() ?? this.bare;
  }

  /** Until logged in; fails with `LoginRefused` or what the connection failed with. */
  async start(): Promise<void> {
    this.become("connecting");
    try {
      await this.client.start();
    } catch (error) {
      await this.stop();
      const { name, condition } = error as { name?: string; condition?: string };
      throw name === "SASLError" ? new LoginRefused(condition ?? "not-authorized") : error;
    }
  }

  /** Ends the stream for good; the token stays. */
  async stop(): Promise<void> {
    this.client.reconnect.stop();
    this.password = undefined;
    try {
      await this.client.stop();
    } catch {
      // The connection is gone already.
    }
    this.become("offline");
  }

  /** Tries again now, as when the network is back. */
  wake(): void {
    if (this.state !== "waiting") return;
    this.client.reconnect.delay = 0;
    this.client.reconnect.scheduleReconnect();
  }

  /** Whether it was written. Then stream management keeps it until it is "acknowledged" or "lost". */
  async send(stanza: Element): Promise<boolean> {
    if (this.state !== "online") return false;
    try {
      await this.client.send(stanza);
      return true;
    } catch {
      // The connection was lost just now.
      return false;
    }
  }

  /** The payload of the answer. */
  async get(payload: Element, to?: string): Promise<Element | undefined> {
    return payloadOf(await this.request("get", payload, to));
  }

  async set(payload: Element, to?: string): Promise<Element | undefined> {
    return payloadOf(await this.request("set", payload, to));
  }

  /** The whole answer; fails with a StanzaError that has a `condition`. */
  request(type: "get" | "set", payload: Element, to?: string): Promise<Element> {
    return this.client.iqCaller.request(xml("iq", { type, to }, payload), MILLISECONDS);
  }

  /** Answers requests. Without an answer "service-unavailable" is said, `{}` is an empty result. */
  answer(
    type: "get" | "set",
    xmlns: string,
    name: string,
    handler: (payload: Element, from: string) => Promise<Answer> | Answer,
  ): void {
    this.client.iqCallee[type](xmlns, name, ({ element, stanza }) =>
      handler(element, stanza.attrs.from ?? this.bare),
    );
  }

  private connection(): Client {
    const { service, tokens, bearer } = this.options;
    const userAgent = xml(
      "user-agent",
      { id: tokens.deviceId },
      xml("software", {}, "Wello"),
      xml("device", {}, "Web"),
    );
    const username = local(this.bare);
    const made = client({
      service,
      domain: this.domain,
      username,
      userAgent,
      timeout: MILLISECONDS,
      credentials: async (authenticate, mechanisms, fast) => {
        if (bearer) {
          return authenticate({ username, password: bearer }, "OAUTHBEARER", userAgent);
        }
        // Each time anew: the server replaces tokens as they age.
        const token = await fast?.fetch();
        if (!token && !this.password) throw new LoginRefused("not-authorized");
        const ours = SCRAM.map((hash) => `SCRAM-${hash}`);
        const mechanism = ours.find((name) => mechanisms.includes(name));
        const plain = made.isSecure() && mechanisms.includes("PLAIN") ? "PLAIN" : undefined;
        const password = this.password ?? "";
        await authenticate({ username, password, token }, mechanism ?? plain, userAgent);
      },
    });
    for (const hash of SCRAM) {
      made.saslFactory.use(`SCRAM-${hash}`, scram(hash));
    }
    made.saslFactory.use("OAUTHBEARER", OauthBearer);
    made.fast.fetchToken = async () => tokens.load();
    made.fast.deleteToken = async () => tokens.remove();
    made.fast.saveToken = async (token) => {
      tokens.save(token);
      // From here on the token is enough.
      this.password = undefined;
    };
    return made;
  }

  private watch(): void {
    const { client } = this;
    client.on("online", () => {
      this.attempts = 0;
      // Bind 2 says "online" before it has counted itself into stream management.
      setTimeout(() => {
        this.become("online");
        this.emit("fresh", undefined);
      });
    });
    client.on("disconnect", () => {
      if (this.state === "offline") return;
      this.attempts += 1;
      const longest = Math.min(RECONNECT.most, RECONNECT.first * 2 ** (this.attempts - 1));
      // Spread, so that not everybody comes back at once.
      client.reconnect.delay = longest * (0.5 + Math.random() / 2);
      this.become(this.state === "connecting" ? "connecting" : "waiting");
    });
    client.on("error", (error: Error) => this.fail(error));
    client.on("stanza", (stanza: Element) => {
      if (stanza.name === "message") this.emit("message", stanza);
      if (stanza.name === "presence") this.emit("presence", stanza);
    });
    const { streamManagement } = client;
    streamManagement.on("ack", (stanza: Element) => this.emit("acknowledged", stanza));
    streamManagement.on("fail", (stanza: Element) => this.emit("lost", stanza));
    streamManagement.on("resumed", () => {
      this.attempts = 0;
      this.become("online");
      this.emit("resumed", undefined);
    });
  }

  private fail(error: Error & { condition?: string }): void {
    this.emit("error", error);
    // A login that is refused while reconnecting will not be accepted by asking again.
    const refused = error instanceof LoginRefused || error.name === "SASLError";
    // Another device of the account took this one's place, or an administrator ended it.
    const replaced = error.name === "StreamError" && error.condition === "conflict";
    if (this.state !== "connecting" && (refused || replaced)) void this.stop();
  }

  private become(state: SessionState): void {
    if (this.state === state) return;
    this.state = state;
    this.emit("state", state);
  }
}

export type Answer = Element | Record<string, never> | undefined;

function payloadOf(iq: Element): Element | undefined {
  return iq.getChildElements().find((child) => child.name !== "error");
}
