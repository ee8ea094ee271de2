import { pair } from "./browser.mjs";
import { findsAnotherWay, pictureMoves, soundIsHeard } from "./media.mjs";

export const tests = {
  "a video call: rings everywhere, is seen and heard, and ends": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    const tablet = await t.browser.online(juliet.account);
    t.watch(romeo, juliet, tablet);
    await romeo.button("Video call").click();
    await romeo.page.getByText("Ringing…").waitFor();
    const bell = `${romeo.account.user} is calling with video`;
    await Promise.all(
      [juliet, tablet].map(({ page }) => page.getByRole("alertdialog", { name: bell }).waitFor()),
    );
    await t.picture(juliet.page, "call-incoming");
    await juliet.button("Answer").click();
    await says(tablet, "Answered on another device").waitFor();
    const seen = [
      [romeo.page, `Picture of ${juliet.account.user}`],
      [juliet.page, `Picture of ${romeo.account.user}`],
    ];
    await Promise.all(
      seen.flatMap(([page, label]) => [pictureMoves(page, label), soundIsHeard(page, label)]),
    );
    await t.picture(romeo.page, "call");
    await romeo.button("Mute microphone").click();
    await juliet.page.getByText(`${romeo.account.user} is muted`).waitFor({ state: "attached" });
    await romeo.button("Switch camera off").click();
    await says(juliet, "In a call").waitFor();
    await romeo.button("Switch camera on").click();
    await pictureMoves(juliet.page, `Picture of ${romeo.account.user}`);
    await findsAnotherWay(romeo.page, -1, juliet.page);
    await pictureMoves(juliet.page, `Picture of ${romeo.account.user}`);
    await juliet.button("Hang up").click();
    await says(romeo, "Call ended").waitFor();
    await says(romeo, "Call ended").waitFor({ state: "detached" });
    await juliet.button("Video call").waitFor();
  },

  "a voice call is heard": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.button("Voice call").click();
    await juliet.button("Answer").click();
    await soundIsHeard(juliet.page, `Picture of ${romeo.account.user}`);
    await soundIsHeard(romeo.page, `Picture of ${juliet.account.user}`);
    await romeo.button("Hang up").click();
    await says(juliet, "Call ended").waitFor();
  },

  "a voice call becomes a video call, and shows a screen": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.button("Voice call").click();
    await juliet.button("Answer").click();
    const [ofRomeo, ofJuliet] = [romeo, juliet].map(({ account }) => `Picture of ${account.user}`);
    await soundIsHeard(juliet.page, ofRomeo);
    // From the side that was called: both may.
    await juliet.button("Switch camera on").click();
    await pictureMoves(romeo.page, ofJuliet);
    await romeo.button("Switch camera on").click();
    await pictureMoves(juliet.page, ofRomeo);
    await soundIsHeard(juliet.page, ofRomeo);
    await romeo.button("Share screen").click();
    await romeo.button("Stop sharing").waitFor();
    await pictureMoves(juliet.page, ofRomeo);
    await romeo.button("Stop sharing").click();
    await romeo.button("Hang up").click();
    await says(juliet, "Call ended").waitFor();
  },

  "a call may be declined, and given up": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.button("Voice call").click();
    await juliet.button("Decline").click();
    await says(romeo, "Declined").waitFor();
    await romeo.button("Voice call").click();
    await juliet.button("Answer").waitFor();
    await romeo.button("Hang up").click();
    await says(juliet, "Call cancelled").waitFor();
    await juliet.shows("Missed call");
    // From the archive the same.
    await juliet.page.reload();
    await juliet.shows("Call declined");
    await juliet.shows("Missed call");
    if ((await juliet.messages().count()) !== 2) throw new Error("told more than once");
  },
};

/** What the screen of the call says. */
function says({ page }, text) {
  return page.getByRole("region").getByRole("status").filter({ hasText: text });
}
