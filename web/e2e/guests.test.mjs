import { Firefox } from "./firefox.mjs";
import { pictureMoves, soundArrives, soundIsHeard } from "./media.mjs";
import { allSeeAndHear, council, enter, leave } from "./meetings.test.mjs";

export const tests = {
  "a guest comes by a link, is seen and heard, talks, and leaves": async (t) => {
    const [romeo, juliet] = await council(t, ["romeo", "juliet"]);
    const link = await guestLink(romeo);
    const ann = await t.browser.device({ user: "Ann" }, {}, link);
    t.watch(ann);
    await ann.page.getByText("Join the conference as a guest").waitFor();
    await t.picture(ann.page, "guest-lobby");
    await ann.page.getByRole("button", { name: "Join now" }).click();
    await ann.page.getByLabel("Your name").fill("Ann");
    await enter(ann);
    await allSeeAndHear([romeo, juliet, ann]);
    await ann.button("Chat").click();
    await ann.write("Good morning");
    await romeo.button("Chat").click();
    await romeo.shows("Good morning");
    await t.picture(ann.page, "guest-meeting");
    await romeo.button("Participants").click();
    await romeo.page.getByRole("listitem").filter({ hasText: "Ann" }).getByText("Guest").waitFor();
    // Nobody but those who may make links is offered to.
    if (await ann.button("Copy guest link").isVisible()) throw new Error("guests invite guests");
    await ann.page.reload();
    await enter(ann);
    await allSeeAndHear([romeo, ann]);
    await leave(ann);
    await ann.page.getByText("You have left the conference.").waitFor();
    await t.picture(ann.page, "guest-left");
    await romeo.page.locator(`[data-nick="Ann"]`).waitFor({ state: "detached" });
  },

  "a guest may come without camera and microphone": async (t) => {
    const [romeo] = await council(t, ["romeo"]);
    const link = await guestLink(romeo);
    const ann = await t.browser.device({ user: "Ann" }, { permissions: [] }, link);
    await ann.page.getByLabel("Your name").fill("Ann");
    await ann.page.getByLabel("Microphone on").uncheck();
    await ann.page.getByLabel("Camera on").uncheck();
    await enter(ann);
    await pictureMoves(ann.page, `Picture of ${romeo.account.user}`);
    await soundIsHeard(ann.page, `Picture of ${romeo.account.user}`);
    const tile = romeo.page.locator(`[data-nick="Ann"]`);
    await tile.getByText("Ann is muted").waitFor({ state: "attached" });
  },

  "Firefox meets Chromium in a conference": async (t) => {
    if (!Firefox.isHere()) t.skip("there is no Firefox here");
    const devices = await council(t, ["romeo", "juliet"]);
    const [romeo, juliet] = devices;
    const firefox = await Firefox.launch();
    try {
      await firefox.join(await guestLink(romeo), "Ann");
      await Promise.all([
        ...devices.map(({ account }) => pictureMoves(firefox.page, `Picture of ${account.user}`)),
        soundArrives(firefox.page),
        ...devices.map(({ page }) => pictureMoves(page, "Picture of Ann")),
        soundIsHeard(romeo.page, "Picture of Ann"),
      ]);
      await leave(juliet);
      const tile = `[data-nick="${juliet.account.user}"]`;
      await firefox.page.waitForFunction((tile) => !document.querySelector(tile), tile);
      await juliet.page.goto(romeo.page.url());
      await enter(juliet);
      await allSeeAndHear(devices);
      await pictureMoves(firefox.page, `Picture of ${juliet.account.user}`);
      await pictureMoves(juliet.page, "Picture of Ann");
    } finally {
      await firefox.close();
    }
  },

  "who comes by a link that is taken back is out": async (t) => {
    const [romeo] = await council(t, ["romeo"]);
    const link = await guestLink(romeo);
    const ann = await t.browser.device({ user: "Ann" }, {}, link);
    await ann.page.getByLabel("Your name").fill("Ann");
    await enter(ann);
    await romeo.button("Links for guests").click();
    const listed = romeo.page.getByRole("dialog");
    await listed.getByText(`by ${romeo.account.user}@`).waitFor();
    await t.picture(romeo.page, "guest-links");
    await listed.getByRole("button", { name: "Take back" }).click();
    await listed.getByText("There are no links.").waitFor();
    await romeo.page.locator(`[data-nick="Ann"]`).waitFor({ state: "detached" });
  },

  "a link that is not valid says so": async (t) => {
    const link = `${t.server.origin}/join/hall@conference.localhost#guessed`;
    const ann = await t.browser.device({ user: "Ann" }, {}, link);
    t.watch(ann);
    await ann.page.getByLabel("Your name").fill("Ann");
    await ann.page.getByRole("button", { name: "Join now" }).click();
    await ann.page.getByText("This link is not valid, or not any more.").waitFor();
  },
};

async function guestLink(device) {
  await device.button("Copy guest link").click();
  await device.page.getByText("Link for guests copied.").waitFor();
  return device.page.evaluate(() => navigator.clipboard.readText());
}
