// Converse.js in headless Chromium against the server: suite.mjs TARGET RESULTS.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Browser } from "./browser.mjs";
import { relayed } from "./relay.mjs";

// Bound on one test.
const MILLISECONDS = 90_000;

// One red pixel.
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

const [targetPath, resultsPath] = process.argv.slice(2);
const target = JSON.parse(readFileSync(targetPath, "utf8"));

const tests = [];
const test = (name, body) => tests.push([name, body]);

let browser;
let rooms = 0;
const room = () => `hall-converse-${++rooms}@conference.${target.domain}`;

/** Romeo and Juliet, logged in, and their chat on both screens. */
async function pair() {
  const accounts = [browser.account("romeo"), browser.account("juliet")];
  const [romeo, juliet] = await Promise.all(accounts.map((account) => browser.online(account)));
  return [await romeo.chat(accounts[1]), await juliet.chat(accounts[0])];
}

/** The same two in a room. */
async function joined() {
  const accounts = [browser.account("romeo"), browser.account("juliet")];
  const clients = await Promise.all(accounts.map((account) => browser.online(account)));
  const jid = room();
  const first = await clients[0].join(jid);
  return [first, await clients[1].join(jid)];
}

test("finds the WebSocket by host-meta and logs in by SCRAM", async () => {
  const client = await browser.client(browser.account("romeo"));
  const spoken = client.record();
  await client.login();
  assert.equal(spoken.socket(), target.websocket);
  assert.match(spoken.sent(), /<auth [^>]*mechanism="SCRAM-SHA-/);
});

test("a wrong password is refused", async () => {
  const client = await browser.client(browser.account("romeo"));
  await client.submit("not it");
  await client.page.locator(".conn-feedback", { hasText: "password is incorrect" }).waitFor();
});

test("a certificate with another key is refused", async () => {
  const other = await Browser.launch(target, target.wrong_ca);
  try {
    const client = await other.client(browser.account("romeo"));
    const failed = client.page.waitForEvent("requestfailed");
    await client.submit();
    assert.equal((await failed).failure().errorText, "net::ERR_CERT_AUTHORITY_INVALID");
  } finally {
    await other.close();
  }
});

for (const [kind, both] of [["chat", pair], ["room", joined]]) {
  test(`${kind}: messages both ways`, async () => {
    const [romeo, juliet] = await both();
    await romeo.send("wherefore art thou é 🚀 <&>");
    await juliet.shows("wherefore art thou é 🚀 <&>");
    await juliet.send("here");
    await romeo.shows("here");
  });

  test(`${kind}: a correction replaces the message`, async () => {
    const [romeo, juliet] = await both();
    await romeo.send("Rome");
    await juliet.shows("Rome");
    await romeo.act("Rome", "edit");
    await romeo.send("Romeo");
    await juliet.shows(/^\s*Romeo\s*$/);
    assert.equal(await juliet.root.locator(".chat-msg").count(), 1);
  });

  test(`${kind}: a retraction takes the message away`, async () => {
    const [romeo, juliet] = await both();
    await romeo.send("a secret");
    await juliet.shows("a secret");
    await romeo.retract("a secret");
    await juliet.root.locator(".chat-msg--retracted").waitFor();
    assert.equal(await juliet.message("a secret").count(), 0);
  });

  test(`${kind}: an uploaded picture is shown on the other screen`, async () => {
    const [romeo, juliet] = await both();
    await romeo.upload("rosé.png", "image/png", Buffer.from(PICTURE, "base64"));
    const image = juliet.root.locator(".chat-msg img.chat-image");
    await image.waitFor();
    assert.equal(await image.evaluate(decoded), 1);
    assert.match(await image.getAttribute("src"), new RegExp(`^https://${target.domain}:`));
  });

  test(`${kind}: history after a new login elsewhere`, async () => {
    const [romeo, juliet] = await both();
    await romeo.send("long ago");
    await juliet.shows("long ago");
    await juliet.send("and far away");
    await romeo.shows("and far away");
    const tablet = await browser.online(romeo.client.account);
    const box = await romeo.reopened(tablet);
    await box.shows("long ago");
    await box.shows("and far away");
  });

  test(`${kind}: history after a reload`, async () => {
    const [romeo, juliet] = await both();
    await juliet.send("before the reload");
    await romeo.shows("before the reload");
    // A resumed stream in a room makes it look into what it has kept, not into the archive.
    await romeo.client.keeps("before the reload");
    await romeo.client.page.goto("about:blank");
    await juliet.send("during the reload");
    await romeo.client.visit();
    await romeo.client.connected();
    const box = await romeo.reopened(romeo.client);
    await box.shows("before the reload");
    await box.shows("during the reload");
    for (const text of ["before the reload", "during the reload"]) {
      assert.equal(await box.message(text).count(), 1, text);
    }
  });

  test(`${kind}: goes on after the socket was cut`, async () => {
    const [romeo, juliet] = await both();
    await romeo.send("before the cut");
    await juliet.shows("before the cut");
    const spoken = romeo.client.record();
    browser.relay.cut();
    await spoken.waitFor(/<resumed /);
    await romeo.send("after the cut");
    await juliet.shows("after the cut");
    await juliet.send("so it was");
    await romeo.shows("so it was");
    assert.equal(await juliet.message("before the cut").count(), 1);
  });

  test(`${kind}: a voice clip by REST has a player`, async () => {
    const [romeo, juliet] = await both();
    const clip = await romeo.postClip();
    const player = juliet.root.locator(".chat-msg converse-audio-player");
    await player.waitFor();
    assert.equal(await player.getAttribute("src"), clip.url);
    const seconds = await player.evaluate(playable);
    assert.ok(Math.abs(seconds - clip.duration / 1000) < 0.1, `${seconds} s`);
  });
}

test("a bookmarked room is joined on the next device", async () => {
  const account = browser.account("romeo");
  const phone = await browser.online(account);
  const jid = room();
  await phone.join(jid);
  await phone.call((api, jid) => api.bookmarks.set({ jid, name: "Hall", autojoin: true }), jid);
  const tablet = await browser.online(account);
  await tablet.box(jid).root.locator("converse-muc-message-form textarea").waitFor({ state: "attached" });
});

test("an avatar is seen by the partner", async () => {
  const [romeo, juliet] = await pair();
  const { jid } = romeo.client.account;
  for (const [one, other] of [[romeo, juliet], [juliet, romeo]]) {
    await one.client.call((api, jid) => api.contacts.add({ jid }), other.client.account.jid);
  }
  await romeo.client.call(
    (api, { jid, image }) => api.vcard.set(jid, { image, image_type: "image/png", fn: "Romeo Montague" }),
    { jid, image: PICTURE });
  await romeo.send("look at me");
  await juliet.message("look at me").locator("converse-avatar image").waitFor({ state: "attached" });
});

// WebRTC in Chromium takes no certificate of ours, so TURN by TLS is left to coturn's client.
for (const transport of ["udp", "tcp"]) {
  test(`calls by the relay alone, over ${transport}`, async () => {
    const { jid, password } = browser.account("romeo");
    const call = await browser.blank();
    const api = `https://${target.domain}:${target.https}/api/v1`;
    const { words, candidates } = await call.evaluate(relayed, { api, jid, password, transport });
    assert.equal(words, "WHEREFORE");
    assert.deepEqual([...new Set(candidates)], [`relay by ${transport}`]);
  });
}

/** The width of a picture once it is decoded. */
async function decoded(image) {
  await image.decode();
  return image.naturalWidth;
}

/** The length of a recording in seconds, once all of it can be played. */
async function playable({ audio }) {
  audio.preload = "auto";
  audio.load();
  await new Promise((resolve, reject) => {
    audio.addEventListener("canplaythrough", resolve, { once: true });
    audio.addEventListener("error", () => reject(new Error(audio.error?.message)), { once: true });
  });
  return audio.duration;
}

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end in ${MILLISECONDS} ms`)), MILLISECONDS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

writeFileSync(resultsPath, "");
browser = await Browser.launch(target);
for (const [name, body] of tests) {
  if (!name.includes(target.only)) continue;
  const begin = Date.now();
  let outcome = "passed";
  let reason = "";
  console.log(`-- ${name}`);
  try {
    await within(body());
  } catch (error) {
    outcome = "failed";
    reason = String(error?.message ?? error);
    console.log(`== ${name}\n${error?.stack}`);
    await browser.picture(join(target.logs, name.replace(/[^a-z]+/gi, "-"))).catch(() => {});
  }
  console.log(`-- ${outcome} in ${Date.now() - begin} ms`);
  await browser.closePages();
  appendFileSync(resultsPath, JSON.stringify({ test: name, outcome, reason }) + "\n");
}
await browser.close();
process.exit(0);
