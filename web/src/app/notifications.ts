import { calls } from "../state/calls";
import { chats, rooms } from "../state/stores";
import { nameOf } from "./contacts";
import { t } from "./i18n";

/** Tells of calls and messages by the system while nobody looks at the page. */

const KEY = "wello.notify";

export function wantsNotifications(): boolean {
  return localStorage.getItem(KEY) === "true" && permission() === "granted";
}

/** Asks the browser's leave; false if there is none. */
export async function switchNotifications(on: boolean): Promise<boolean> {
  const granted = on && "Notification" in window && (await Notification.requestPermission());
  localStorage.setItem(KEY, String(granted === "granted"));
  return granted === "granted";
}

function permission(): NotificationPermission {
  return "Notification" in window ? Notification.permission : "denied";
}

chats.subscribe(({ conversations }, before) => {
  if (!isAway()) return;
  for (const [jid, { unread, messages }] of conversations) {
    const last = messages.at(-1);
    if (!last || last.mine || unread <= (before.conversations.get(jid)?.unread ?? 0)) continue;
    const room = rooms.getState().rooms.get(jid);
    // Not the text: others may see the screen.
    show(room ? room.name : nameOf(jid), t("notify.message"), jid);
  }
});

calls.subscribe(({ view }, before) => {
  const rings = view?.call.phase === "incoming" && before.view?.call.id !== view.call.id;
  if (rings && isAway()) show(nameOf(view.call.peer), t("notify.call"), view.call.id);
});

const isAway = () => document.visibilityState === "hidden" && wantsNotifications();

/** One for each conversation, however much is said in it. */
function show(title: string, body: string, tag: string): void {
  try {
    const shown = new Notification(title, { body, tag, icon: "/icon.svg" });
    shown.onclick = () => window.focus();
  } catch {
    // Browsers on phones have them for service workers only.
  }
}
