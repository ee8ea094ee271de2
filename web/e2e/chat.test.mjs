import assert from "node:assert/strict";

import { pair, unique } from "./browser.mjs";

// One red pixel.
const PICTURE = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
  "base64",
);

export const tests = {
  "a wrong password is refused, the right one is not asked for again": async (t) => {
    const device = await t.browser.device(t.server.account(unique("romeo")));
    t.watch(device);
    await t.picture(device.page, "login");
    await device.submit("not it");
    await device.page.getByText("Address or password is wrong.").waitFor();
    await device.logIn();
    const kept = await device.page.evaluate(() => JSON.stringify({ ...localStorage }));
    assert.ok(!kept.includes(device.account.password), "the password was kept");
    await device.page.reload();
    await device.loggedIn();
    await device.page.getByRole("link", { name: "Settings" }).click();
    await t.picture(device.page, "settings");
    await device.button("Log out").click();
    await device.page.getByLabel("Address").waitFor();
    await device.page.reload();
    await device.page.getByLabel("Address").waitFor();
  },

  "who is invited makes an account and is in": async (t) => {
    const user = unique("benvolio");
    const account = { user, jid: `${user}@localhost`, password: "a kinsman of Romeo's" };
    const device = await t.browser.device(account);
    t.watch(device);
    await device.page.goto(t.server.invitation());
    await device.page.getByLabel("Username").fill(user);
    await device.page.getByLabel("Password", { exact: true }).fill(account.password);
    await device.page.getByLabel("The same password again").fill(account.password);
    await device.button("Make the account").click();
    await device.page.getByRole("link", { name: "Chat in the browser" }).click();
    await device.logIn();
  },

  "the page allows no script but its own": async (t) => {
    const answer = await fetchHead(t.server.origin);
    const policy = answer["content-security-policy"];
    assert.match(policy, /default-src 'none'; script-src 'self';/);
    assert.equal(answer["cache-control"], "no-cache");
    assert.equal(answer["x-content-type-options"], "nosniff");
  },

  "messages, receipts and marks both ways, and history after a reload": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.write("wherefore art thou é 🚀 <&>");
    await juliet.shows("wherefore art thou é 🚀 <&>");
    await romeo.page.locator("[data-progress=displayed]").waitFor();
    await juliet.write("here: https://example.org/balcony");
    await romeo.shows("here:");
    await romeo.page
      .getByRole("link", { name: "https://example.org/balcony", exact: true })
      .waitFor();
    await t.picture(romeo.page, "chat");
    await juliet.page.reload();
    await juliet.shows("wherefore art thou");
    await juliet.shows("here:");
    assert.equal(await juliet.messages().count(), 2);
    // Another device that was not there reads the same.
    const tablet = await t.browser.online(romeo.account);
    await tablet.open(juliet.account);
    await tablet.shows("wherefore art thou");
    assert.equal(await tablet.messages().count(), 2);
  },

  "older history comes page by page": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    for (let n = 1; n <= 60; n += 1) await romeo.write(`line ${n}.`);
    await juliet.shows("line 60.");
    const tablet = await t.browser.online(juliet.account);
    // What is in the list of chats already is no reason to stop.
    await tablet.open(romeo.account);
    await tablet.shows("line 60.");
    // Receipts fill pages as well: how often one has to scroll up depends on how many there are.
    await tablet.page.waitForFunction(() => {
      const log = document.querySelector("[role=log]");
      log.scrollTo(0, 0);
      return log.textContent.includes("This is the beginning of the conversation.");
    });
    await tablet.shows("line 1.");
    assert.equal(await tablet.messages().count(), 60);
  },

  "an uploaded picture is seen by the other": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    const file = { name: "rosé.png", mimeType: "image/png", buffer: PICTURE };
    await romeo.page
      .getByLabel("Attach a file")
      .and(romeo.page.locator("input"))
      .setInputFiles(file);
    const image = juliet.page.getByRole("img", { name: "Picture rosé.png" });
    await image.waitFor();
    await juliet.page.waitForFunction(
      () => document.querySelector("[role=log] img")?.naturalWidth === 1,
    );
  },

  "a message that was written without a connection is sent later, once": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(juliet);
    await romeo.cut();
    await romeo.write("into the void");
    await romeo.mend();
    await juliet.shows("into the void");
    await romeo.page.locator("[data-progress=displayed]").waitFor();
    assert.equal(await juliet.messages().count(), 1);
  },

  "a room: made, entered by invitation, talked in, still there after a reload": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await romeo.button("New room").click();
    await romeo.page.getByLabel("Name of the room").fill("The Balcony");
    await romeo.button("Create").click();
    await romeo.chatWith("The Balcony");
    await romeo.button("Invite").click();
    await romeo.page.getByLabel("Their address").fill(juliet.account.jid);
    await romeo.page.getByRole("dialog").getByRole("button", { name: "Invite" }).first().click();
    await juliet.button("Join").click();
    await juliet.chatWith("The Balcony");
    await juliet.write("good night, good night");
    await romeo.shows("good night, good night");
    await romeo.button("People in the room").click();
    await romeo.page.getByRole("complementary").getByText(juliet.account.user).waitFor();
    await t.picture(romeo.page, "room");
    await juliet.page.reload();
    await juliet.shows("good night, good night");
    await juliet.write("parting is such sweet sorrow");
    await romeo.shows("parting is such sweet sorrow");
    assert.equal(await romeo.messages().count(), 2);
  },

  "who looks elsewhere is notified, without the text": async (t) => {
    const [romeo, juliet] = await pair(t.browser);
    t.watch(romeo, juliet);
    await juliet.page.context().grantPermissions(["notifications"]);
    await juliet.page.getByRole("link", { name: "Settings" }).click();
    await juliet.page.getByLabel("Notifications while this page is in the background").check();
    await juliet.page.evaluate(() => {
      window.shown = [];
      window.Notification = class {
        static permission = "granted";
        constructor(title, { body }) {
          window.shown.push(`${title}: ${body}`);
        }
      };
      Object.defineProperty(document, "visibilityState", { value: "hidden" });
    });
    await romeo.write("a secret");
    await juliet.page.waitForFunction(() => window.shown.length > 0);
    const shown = await juliet.page.evaluate(() => window.shown);
    assert.deepEqual(shown, [`${romeo.account.user}: Writes to you`]);
  },

  "a phone shows one thing at a time, in Indonesian and in the dark": async (t) => {
    const phone = {
      viewport: { width: 390, height: 844 },
      locale: "id-ID",
      colorScheme: "dark",
      hasTouch: true,
      isMobile: true,
    };
    const [romeo] = await pair(t.browser);
    const device = await t.browser.device(romeo.account, phone);
    t.watch(device);
    await device.page.getByLabel("Alamat").fill(romeo.account.jid);
    await device.page.getByLabel("Kata sandi", { exact: true }).fill(romeo.account.password);
    await device.page.getByRole("button", { name: "Masuk" }).click();
    await device.page.getByRole("button", { name: "Kontak", exact: true }).click();
    await t.picture(device.page, "phone-contacts");
    await device.page.getByRole("link", { name: "juliet" }).click();
    await device.page.getByRole("textbox").last().fill("Selamat malam");
    await device.page.getByRole("button", { name: "Kirim" }).click();
    await device.shows("Selamat malam");
    await t.picture(device.page, "phone-chat");
    assert.equal(await device.page.getByRole("navigation").isVisible(), false);
    await device.page.getByRole("link", { name: "Kembali" }).click();
    await device.page.getByRole("navigation").waitFor();
  },
};

/** The head of an answer of a server whose certificate nobody signed. */
async function fetchHead(origin) {
  const { request } = await import("node:https");
  return new Promise((resolve, reject) => {
    const sent = request(`${origin}/`, { rejectUnauthorized: false }, (answer) => {
      answer.resume();
      resolve(answer.headers);
    });
    sent.on("error", reject);
    sent.end();
  });
}
