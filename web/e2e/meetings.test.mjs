import assert from "node:assert/strict";

import { unique } from "./browser.mjs";
import { findsAnotherWay, pictureMoves, soundIsHeard } from "./media.mjs";

export const tests = {
  "a conference: seen and heard, muted, talked in, left": async (t) => {
    const devices = await council(t, ["romeo", "juliet", "nurse"]);
    const [romeo, juliet, nurse] = devices;
    await allSeeAndHear(devices);
    // One for what it sends and one for all that it gets.
    assert.equal(await connections(romeo.page), 2);
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
    await leave(nurse);
    await nurse.chatWith("Council");
    await romeo.page.locator(`[data-nick="${nurse.account.user}"]`).waitFor({ state: "detached" });
    await pictureMoves(romeo.page, `Picture of ${juliet.account.user}`);
  },

  "who comes takes the place of who has left": async (t) => {
    const devices = await council(t, ["romeo", "juliet", "nurse"]);
    const [romeo, juliet, nurse] = devices;
    await allSeeAndHear(devices);
    for (const left of [nurse, juliet]) {
      const { user } = left.account;
      const tile = romeo.page.locator(`[data-nick="${user}"]`);
      await leave(left);
      await tile.waitFor({ state: "detached" });
      await left.page.goto(romeo.page.url());
      await enter(left);
      await allSeeAndHear(devices);
    }
    assert.equal(await connections(romeo.page), 2);
    const sections = await romeo.page.evaluate(() => {
      const { sdp } = window.peers.at(-1).remoteDescription;
      return sdp.split("m=").length - 1;
    });
    assert.equal(sections, 4);
  },

  "who cannot take everybody at once takes one by one": async (t) => {
    const prepare = async ({ page }) => {
      await page.evaluate(refuseFirst);
      await page.addInitScript(refuseFirst);
    };
    const devices = await council(t, ["romeo", "juliet", "nurse"], prepare);
    await allSeeAndHear(devices);
    for (const { page } of devices) assert.equal(await connections(page), 3);
  },

  "who loses what it gets joins anew": async (t) => {
    const devices = await council(t, ["romeo", "juliet"]);
    const [romeo] = devices;
    await allSeeAndHear(devices);
    const before = await romeo.page.evaluate(() => {
      const peer = window.peers.at(-1);
      Object.defineProperty(peer, "connectionState", { value: "failed", configurable: true });
      peer.onconnectionstatechange();
      delete peer.connectionState;
      return window.peers.length;
    });
    await romeo.page.waitForFunction((before) => window.peers.length >= before + 2, before);
    await allSeeAndHear(devices);
    assert.equal(await connections(romeo.page), 2);
  },

  "a screen is shown beside the camera, until that is ended": async (t) => {
    const devices = await council(t, ["romeo", "juliet"]);
    const [romeo, juliet] = devices;
    await romeo.button("Share screen").click();
    const { user } = romeo.account;
    await pictureMoves(juliet.page, `Screen of ${user}`);
    await pictureMoves(juliet.page, `Picture of ${user}`);
    await t.picture(juliet.page, "meeting-screen");
    await romeo.button("Stop sharing").click();
    await juliet.page.locator(`[data-nick="Screen of ${user}"]`).waitFor({ state: "detached" });
    await pictureMoves(juliet.page, `Picture of ${user}`);
  },

  "a conference through the relay alone": async (t) => {
    const relayed = ({ page }) => page.evaluate(() => localStorage.setItem("test.relayed", "yes"));
    const devices = await council(t, ["romeo", "juliet"], relayed);
    await allSeeAndHear(devices);
    for (const { page } of devices) {
      const kinds = await page.evaluate(async () => {
        const reports = await Promise.all(window.peers.map((peer) => peer.getStats()));
        const all = reports.flatMap((report) => [...report.values()]);
        return all.filter(({ type }) => type === "local-candidate").map((one) => one.candidateType);
      });
      assert.deepEqual([...new Set(kinds)], ["relay"]);
    }
  },

  "who has no network for ten seconds comes back": async (t) => {
    const devices = await council(t, ["romeo", "juliet"]);
    const [romeo, juliet] = devices;
    await romeo.cut();
    await romeo.page.waitForTimeout(10_000);
    await romeo.mend();
    await romeo.page.getByText("No connection. Trying again…").waitFor({ state: "detached" });
    await allSeeAndHear(devices);
    await juliet.button("Chat").click();
    await juliet.write("still there?");
    await romeo.button("Chat").click();
    await romeo.shows("still there?");
  },
};

/** Runs in the page: it cannot take what is offered first. */
function refuseFirst() {
  const { prototype } = RTCPeerConnection;
  const { setRemoteDescription } = prototype;
  prototype.setRemoteDescription = function (description) {
    if (description.type !== "offer" || window.hasRefused) {
      return setRemoteDescription.call(this, description);
    }
    window.hasRefused = true;
    return Promise.reject(new TypeError("no such thing"));
  };
}

/** How many there are to the server. */
function connections(page) {
  const isOpen = ({ connectionState }) => connectionState !== "closed";
  return page.evaluate(`window.peers.filter(${isOpen}).length`);
}

/** A room in whose conference all of them are. */
export async function council(t, names, prepare = async () => {}) {
  const accounts = names.map((name) => t.server.account(unique(name)));
  const devices = await Promise.all(accounts.map((account) => t.browser.online(account)));
  const [first, ...others] = devices;
  t.watch(...devices);
  await Promise.all(devices.map(prepare));
  await first.button("New room").click();
  await first.page.getByLabel("Name of the room").fill("Council");
  await first.page.getByLabel("Only people who are invited may join").uncheck();
  await first.button("Create").click();
  await first.chatWith("Council");
  await first.button("Invite").waitFor();
  const call = first.button("Join the call");
  if (!(await call.isVisible())) t.skip("this server has no conferences");
  await call.click();
  await enter(first);
  for (const device of others) {
    await device.page.goto(first.page.url());
    await enter(device);
  }
  return devices;
}

export async function allSeeAndHear(devices) {
  const seen = devices.flatMap((device) =>
    devices
      .filter((other) => other !== device)
      .map(({ account }) => [device.page, `Picture of ${account.user}`]),
  );
  await Promise.all(
    seen.flatMap(([page, label]) => [pictureMoves(page, label), soundIsHeard(page, label)]),
  );
}

export async function enter(device) {
  await device.page.getByRole("button", { name: "Join now" }).click();
  await device.page.getByRole("toolbar").waitFor();
}

export function leave(device) {
  return device.page.getByRole("toolbar").getByRole("button", { name: "Leave" }).click();
}
