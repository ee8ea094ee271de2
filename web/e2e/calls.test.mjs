import { pair } from "./browser.mjs";
import { pictureMoves, soundIsHeard } from "./media.mjs";

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
    await tablet.page.getByText("Answered on another device").waitFor();
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
    await juliet.page.getByText("In a call").waitFor();
    await romeo.button("Switch camera on").click();
    await pictureMoves(juliet.page, `Picture of ${romeo.account.user}`);
    await juliet.button("Hang up").click();
    await romeo.page.getByText("Call ended").waitFor();
    await romeo.page.getByText("Call ended").waitFor({ state: "detached" });
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
    await juliet.page.getByText("Call ended").waitFor();
  },

  "a call may be declined, and given up": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.button("Voice call").click();
    await juliet.button("Decline").click();
    await romeo.page.getByText("Declined").waitFor();
    await romeo.button("Voice call").click();
    await juliet.button("Answer").waitFor();
    await romeo.button("Hang up").click();
    await juliet.page.getByText("Call cancelled").waitFor();
  },
};
