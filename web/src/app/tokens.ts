import type { TokenStore } from "../xmpp/session";

/** What this browser remembers of the login: never the password. */
interface Saved {
  jid: string;
  token: ReturnType<TokenStore["load"]>;
}

const DEVICE = "wello.device";
const LOGIN = "wello.login";

export function savedAddress(): string | undefined {
  return read()?.jid;
}

export function tokensOf(jid: string): TokenStore {
  return {
    deviceId: deviceId(),
    load: () => {
      const saved = read();
      return saved?.jid === jid ? saved.token : undefined;
    },
    save: (token) => localStorage.setItem(LOGIN, JSON.stringify({ jid, token })),
    remove: () => localStorage.removeItem(LOGIN),
  };
}

/** For guests, who bring what they log in with. */
export function noTokens(): TokenStore {
  return { deviceId: deviceId(), load: () => undefined, save: () => {}, remove: () => {} };
}

function deviceId(): string {
  const id = localStorage.getItem(DEVICE) ?? crypto.randomUUID();
  localStorage.setItem(DEVICE, id);
  return id;
}

export function forgetLogin(): void {
  localStorage.removeItem(LOGIN);
}

function read(): Saved | undefined {
  try {
    const saved = JSON.parse(localStorage.getItem(LOGIN) ?? "null") as Saved | null;
    return saved?.jid && saved.token ? saved : undefined;
  } catch {
    return undefined;
  }
}
