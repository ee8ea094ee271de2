import { unique } from "./browser.mjs";
import { findsAnotherWay, pictureMoves, soundIsHeard } from "./media.mjs";

export const tests = {
  "a conference: seen and heard, muted, talked in, left": async (t) => {
    const accounts = ["romeo", "juliet", "nurse"].map((name) => t.server.account(unique(name)));
    const devices = await Promise.all(accounts.map((account) => t.browser.online(account)));
    const [romeo, juliet, nurse] = devices;
    t.watch(...devices);
    await romeo.button("New room").click();
    await romeo.page.getByLabel("Name of the room").fill("Council");
    await romeo.page.getByLabel("Only people who are invited may join").uncheck();
    await romeo.button("Create").click();
    await romeo.chatWith("Council");
    await romeo.button("Invite").waitFor();
    const call = romeo.button("Join the call");
    if (!(await call.isVisible())) t.skip("this server has no conferences");
    await call.click();
    await enter(romeo);
    const address = romeo.page.url();
    for (const device of [juliet, nurse]) {
      await device.page.goto(address);
      await enter(device);
    }
    const others = (self) => devices.filter((device) => device !== self);
    await Promise.all(
      devices.flatMap((device) =>
        others(device).flatMap(({ account }) => [
          pictureMoves(device.page, `Picture of ${account.user}`),
          soundIsHeard(device.page, `Picture of ${account.user}`),
        ]),
      ),
    );
    // The best layer of a picture of 640 × 480, at least.
    await romeo.page.waitForFunction(
      (label) => document.querySelector(`video[aria-label="${label}"]`).videoWidth >= 640,
      `Picture of ${juliet.account.user}`,
    );
    await t.picture(romeo.page, "meeting");
    await findsAnotherWay(romeo.page, 0);
    await romeo.cut();
    await romeo.mend();
    await pictureMoves(juliet.page, `Picture of ${romeo.account.user}`);
    await juliet.button("Mute microphone").click();
    const tile = romeo.page.locator(`[data-nick="${juliet.account.user}"]`);
    await tile.getByText(`${juliet.account.user} is muted`).waitFor({ state: "attached" });
    await romeo.button("Participants").click();
    await romeo.page.getByLabel(`Volume of ${juliet.account.user}`).waitFor();
    await t.picture(romeo.page, "meeting-people");
    await romeo.button("Chat").click();
    await romeo.write("order, order");
    await nurse.button("Chat").click();
    await nurse.shows("order, order");
    await t.picture(nurse.page, "meeting-chat");
    await nurse.page.getByRole("toolbar").getByRole("button", { name: "Leave" }).click();
    await nurse.chatWith("Council");
    await romeo.page.locator(`[data-nick="${nurse.account.user}"]`).waitFor({ state: "detached" });
  },
};

async function enter(device) {
  await device.page.getByRole("button", { name: "Join now" }).click();
  await device.page.getByRole("toolbar").waitFor();
}
