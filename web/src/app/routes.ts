/** The pages of the client; the server knows the same list (`src/http/web_client.rs`). */
export const routes = {
  home: "/",
  settings: "/settings",
  chat: "/chat/:address",
  room: "/room/:address",
  meeting: "/r/:room",
  /** Of people without an account; the token of the link stands behind the "#". */
  join: "/join/:room",
} as const;

/** Whether the page was opened by a guest link: then nobody logs in. */
export const isGuestLink = (): boolean => location.pathname.startsWith("/join/");

export const chatPath = (jid: string): string => `/chat/${encodeURIComponent(jid)}`;
export const roomPath = (jid: string): string => `/room/${encodeURIComponent(jid)}`;
export const meetingPath = (room: string): string => `/r/${encodeURIComponent(room)}`;
