import { account } from "../state/stores";
import { type Admission, arrive } from "../xmpp/guests";
import { logInAsGuest, quit } from "./client";
import * as rooms from "./rooms";

/** Coming into one room by a link, without an account. */

const NAME = "wello.guest";
// With the tab: who loads the page again is the same guest.
const ADMISSION = "wello.admission";

export const guestName = (): string => localStorage.getItem(NAME) ?? "";

/** Enters the room under the name. Fails with an error that has the condition as its message. */
export async function enter(room: string, token: string, name: string): Promise<void> {
  localStorage.setItem(NAME, name);
  if (account.getState().state === "offline") await logIn(room, token);
  await rooms.visit(room, admissionOf(token)?.name ?? "", name);
}

/** Leaves the room, and is a guest no more. */
export async function leave(): Promise<void> {
  sessionStorage.removeItem(ADMISSION);
  await quit();
}

async function logIn(room: string, token: string): Promise<void> {
  const known = admissionOf(token);
  if (known) {
    try {
      return await logInAsGuest(known);
    } catch {
      // The server has forgotten it.
    }
  }
  const admission = await arrive(room, token);
  sessionStorage.setItem(ADMISSION, JSON.stringify({ link: token, admission }));
  await logInAsGuest(admission);
}

function admissionOf(token: string): Admission | undefined {
  try {
    const kept = sessionStorage.getItem(ADMISSION) ?? "null";
    const saved = JSON.parse(kept) as { link: string; admission: Admission } | null;
    return saved?.link === token ? saved.admission : undefined;
  } catch {
    return undefined;
  }
}
