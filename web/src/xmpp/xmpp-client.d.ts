// The parts of @xmpp/client 0.14 that are used here; it brings no types of its own.

declare module "@xmpp/client" {
  export type Attributes = Record<string, string | undefined>;
  export type Child = Element | string | number | undefined | null | false;

  export class Element {
    name: string;
    attrs: Attributes;
    children: (Element | string)[];
    parent: Element | null;
    is(name: string, xmlns?: string): boolean;
    getNS(): string | undefined;
    getChild(name: string, xmlns?: string): Element | undefined;
    getChildren(name: string, xmlns?: string): Element[];
    getChildElements(): Element[];
    getChildText(name: string, xmlns?: string): string | null;
    getText(): string;
    text(): string;
    append(child: Element | string): void;
    toString(): string;
  }

  export interface Jid {
    local: string;
    domain: string;
    resource: string;
    bare(): Jid;
    toString(): string;
  }

  export interface Token {
    mechanism: string;
    token: string;
    expiry: string;
  }

  export interface Credentials {
    username: string;
    password?: string;
    token?: Token | null;
  }

  export type Authenticate = (
    credentials: Credentials,
    mechanism: string | undefined,
    userAgent: Element,
  ) => Promise<void>;

  export interface Fast {
    fetch(): Promise<Token | null | undefined>;
    saveToken(token: Token): Promise<void>;
    fetchToken(): Promise<Token | null | undefined>;
    deleteToken(): Promise<void>;
  }

  type Listener = (...values: never[]) => void;

  interface Events {
    on(event: string, listener: Listener): void;
    removeListener(event: string, listener: Listener): void;
  }

  type Answer = Element | Record<string, never> | undefined;
  export interface IqContext {
    stanza: Element;
    element: Element;
  }
  type IqHandler = (context: IqContext) => Answer | Promise<Answer>;

  export interface Client extends Events {
    jid: Jid | null;
    status: string;
    options: { service: string; domain: string };
    start(): Promise<Jid>;
    stop(): Promise<void>;
    disconnect(): Promise<void>;
    send(stanza: Element): Promise<void>;
    isSecure(): boolean;
    reconnect: { delay: number; stop(): void; scheduleReconnect(): void };
    iqCaller: { request(stanza: Element, timeoutMilliseconds?: number): Promise<Element> };
    iqCallee: {
      get(xmlns: string, name: string, handler: IqHandler): void;
      set(xmlns: string, name: string, handler: IqHandler): void;
    };
    streamManagement: Events;
    saslFactory: { use(name: string, mechanism: unknown): void };
    fast: Fast;
  }

  export function client(options: {
    service: string;
    domain: string;
    username: string;
    userAgent: Element;
    timeout: number;
    credentials(authenticate: Authenticate, mechanisms: string[], fast: Fast | null): Promise<void>;
  }): Client;

  export function xml(name: string, attributes?: Attributes | null, ...children: Child[]): Element;
}
