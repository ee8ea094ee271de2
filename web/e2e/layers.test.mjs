import assert from "node:assert/strict";

import { allSeeAndHear, council } from "./meetings.test.mjs";
import { NarrowWay } from "./narrow.mjs";

// Sound and the lowest layers fit through this, not all of them.
const NARROW = { L3T3_KEY: 160_000, L1T3: 200_000 };
// After a change what is slower than before has shown itself.
const FRAMES_SETTLED = 10;
const DESCRIPTOR =
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

export const tests = {
  "spatial layers of VP9 follow the network": (t) => follow(t, "video/VP9", "L3T3_KEY"),
  "spatial layers of AV1 follow the network": (t) => follow(t, "video/AV1", "L3T3_KEY"),
  "temporal layers of AV1 follow the network": (t) => follow(t, "video/AV1", "L1T3"),
};

/** One sends layers, of which another gets as many as its network carries: fewer, and all again. */
async function follow(t, mimeType, scalabilityMode) {
  const way = await NarrowWay.to(t.server.media);
  try {
    const layers = { mimeType, scalabilityMode, descriptor: DESCRIPTOR };
    const devices = await council(t, ["romeo", "juliet"], async (device) => {
      await device.page.evaluate(filmSmall);
      await device.page.addInitScript(filmSmall);
      if (device.account.user.startsWith("juliet")) return way.lead(device);
      await device.page.evaluate(sendLayers, layers);
      await device.page.addInitScript(sendLayers, layers);
    });
    const [, juliet] = devices;
    await allSeeAndHear(devices);
    const whole = await until(juliet, (now) => now.height >= 360 && now.rate > 10);
    assert.equal(whole.codec, mimeType);
    assert.ok(await juliet.page.evaluate(knows, DESCRIPTOR));
    const isTemporal = scalabilityMode.startsWith("L1");
    const isSlower = (now) => now.rate < whole.rate * 0.7;
    const isSmaller = (now) => now.height < whole.height;
    way.rate = NARROW[scalabilityMode];
    await until(juliet, isTemporal ? isSlower : isSmaller);
    // What has temporal layers, too, may become larger and slower again.
    const less = await steady(juliet, (now) => isSlower(now) || isSmaller(now));
    way.rate = Number.POSITIVE_INFINITY;
    const isWhole = (now) => now.height === whole.height && now.rate > whole.rate * 0.7;
    const again = await until(juliet, isWhole);
    // It had no reason to ask for a picture that stands alone, which temporal layers come back without.
    assert.equal(again.plis, less.plis);
    if (isTemporal) assert.equal(again.keys, less.keys);
    await allSeeAndHear(devices);
  } finally {
    way.close();
  }
}

/** For five seconds it stays so, and there is a new picture in each; then what it was. */
async function steady(device, isSo) {
  const begin = await until(device, isSo);
  let before = await until(device, (now) => now.decoded > begin.decoded + FRAMES_SETTLED);
  for (let n = 0; n < 5; n += 1) {
    // What the browser calls a freeze is also that fewer pictures a second come than before.
    const now = await until(device, () => true);
    assert.ok(isSo(now) && now.decoded > before.decoded, JSON.stringify([before, now]));
    before = now;
  }
  return before;
}

/** What a page gets of a picture, once it is so. */
async function until(device, isSo) {
  for (;;) {
    const before = await device.page.evaluate(picture);
    await device.page.waitForTimeout(1_000);
    const after = await device.page.evaluate(picture);
    const seconds = (after.timestamp - before.timestamp) / 1_000;
    const now = { ...after, rate: (after.decoded - before.decoded) / seconds };
    now.bits = Math.round(((after.octets - before.octets) * 8) / seconds);
    device.say(JSON.stringify(now));
    if (isSo(now)) return now;
  }
}

/** Runs in the page: the picture that comes. */
async function picture() {
  const reports = await Promise.all(window.peers.map((peer) => peer.getStats()));
  for (const report of reports) {
    for (const one of report.values()) {
      if (one.type !== "inbound-rtp" || one.kind !== "video" || !one.framesDecoded) continue;
      return {
        timestamp: one.timestamp,
        height: one.frameHeight,
        decoded: one.framesDecoded,
        octets: one.bytesReceived,
        keys: one.keyFramesDecoded,
        freezes: one.freezeCount,
        dropped: one.framesDropped,
        plis: one.pliCount,
        codec: report.get(one.codecId)?.mimeType,
      };
    }
  }
  return { timestamp: performance.timeOrigin + performance.now(), height: 0, decoded: 0 };
}

/** Runs in the page: whether a header extension is agreed on for what comes. */
function knows(uri) {
  return window.peers.some(({ localDescription }) => {
    return localDescription?.type === "answer" && localDescription.sdp.includes(uri);
  });
}

/** Runs in the page: larger pictures take more of a machine than there is. */
function filmSmall() {
  const { mediaDevices } = navigator;
  const { getUserMedia } = mediaDevices;
  mediaDevices.getUserMedia = ({ audio, video }) => {
    const small = { width: 640, height: 360, frameRate: 15 };
    return getUserMedia.call(mediaDevices, { audio, video: video && { ...video, ...small } });
  };
}

/** Runs in the page: its camera is sent in layers of one stream. */
function sendLayers({ mimeType, scalabilityMode, descriptor }) {
  const { prototype } = RTCPeerConnection;
  const { addTransceiver } = prototype;
  prototype.addTransceiver = function (track, init) {
    if (!init.sendEncodings) return addTransceiver.call(this, track, init);
    const sendEncodings = [{ scalabilityMode, maxBitrate: 1_500_000 }];
    const transceiver = addTransceiver.call(this, track, { ...init, sendEncodings });
    const { codecs } = RTCRtpSender.getCapabilities("video");
    const preferred = (codec) => (codec.mimeType === mimeType ? 0 : 1);
    codecs.sort((one, other) => preferred(one) - preferred(other));
    transceiver.setCodecPreferences(codecs);
    const extensions = transceiver.getHeaderExtensionsToNegotiate();
    for (const extension of extensions) {
      if (extension.uri === descriptor) extension.direction = "sendrecv";
    }
    transceiver.setHeaderExtensionsToNegotiate(extensions);
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    transceiver.sender.setParameters(parameters);
    return transceiver;
  };
}
