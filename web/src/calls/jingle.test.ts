import { describe, expect, it } from "vitest";

import { children, xml } from "../xmpp/xml";
import { candidateElement, candidateLine } from "./candidate";
import { jingleFromSdp, sdpFromJingle } from "./jingle";
import { allOf, firstOf, parseSdp } from "./sdp";

// The shape of what Chromium writes, shortened.
const OFFER = [
  "v=0",
  "o=- 1 2 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  "a=group:BUNDLE 0 1",
  "a=extmap-allow-mixed",
  "a=msid-semantic: WMS s",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
  "c=IN IP4 0.0.0.0",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:secretsecretsecretsecret",
  "a=fingerprint:sha-256 AA:BB",
  "a=setup:actpass",
  "a=mid:0",
  "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
  "a=sendrecv",
  "a=rtcp-mux",
  "a=rtpmap:111 opus/48000/2",
  "a=rtcp-fb:111 transport-cc",
  "a=fmtp:111 minptime=10;useinbandfec=1",
  "a=rtpmap:63 red/48000/2",
  "a=fmtp:63 111/111",
  "a=ssrc:7 cname:x",
  "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
  "c=IN IP4 0.0.0.0",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:secretsecretsecretsecret",
  "a=fingerprint:sha-256 AA:BB",
  "a=setup:actpass",
  "a=mid:1",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:96 VP8/90000",
  "a=rtcp-fb:96 nack pli",
  "a=rtpmap:97 rtx/90000",
  "a=fmtp:97 apt=96",
  "a=ssrc-group:FID 8 9",
  "a=ssrc:8 cname:x",
  "a=ssrc:9 cname:x",
  "",
].join("\r\n");

const jingle = (sdp: string) => xml("jingle", {}, ...jingleFromSdp(sdp, "initiator"));

/** As a peer sees it: written and read again. */
const travelled = (sdp: string) => parseSdp(sdpFromJingle(jingle(sdp), "initiator"));

describe("Jingle", () => {
  it("says who sends what", () => {
    const [audio, video] = children(jingle(OFFER), "content");
    expect(audio?.attrs).toMatchObject({ name: "0", senders: "both", creator: "initiator" });
    expect(video?.attrs.senders).toBe("responder");
    const answer = OFFER.replace("a=recvonly", "a=sendonly");
    const contents = children(xml("jingle", {}, ...jingleFromSdp(answer, "responder")), "content");
    expect(contents[1]?.attrs.senders).toBe("responder");
  });

  it("carries what the description carries", () => {
    const before = parseSdp(OFFER);
    const after = travelled(OFFER);
    expect(firstOf(after, "group")).toBe("BUNDLE 0 1");
    for (const [n, section] of before.sections.entries()) {
      const same = after.sections[n];
      if (!same) throw new Error("a section was lost");
      expect(same.formats).toEqual(section.formats);
      expect(same.kind).toBe(section.kind);
      const names = ["mid", "ice-ufrag", "ice-pwd", "fingerprint", "setup", "extmap", "rtpmap"];
      for (const name of [...names, "fmtp", "rtcp-fb", "ssrc", "ssrc-group"]) {
        expect(allOf(same, name), name).toEqual(allOf(section, name));
      }
    }
    expect(after.sections[1]?.attributes).toContain("recvonly");
    expect(after.sections[0]?.attributes).toContain("extmap-allow-mixed");
  });

  it("puts an answer into the order of the offer", () => {
    const answer = xml("jingle", {}, ...jingleFromSdp(OFFER, "responder").reverse());
    const offer = parseSdp(OFFER).sections;
    const { sections } = parseSdp(sdpFromJingle(answer, "responder", offer));
    expect(sections.map((section) => firstOf(section, "mid"))).toEqual(["0", "1"]);
  });

  it("refuses what an answer leaves out", () => {
    const [group, audio] = jingleFromSdp(OFFER, "responder");
    const answer = xml("jingle", {}, group, audio);
    const { sections } = parseSdp(sdpFromJingle(answer, "responder", parseSdp(OFFER).sections));
    expect(sections.map(({ kind, port }) => [kind, port])).toEqual([
      ["audio", 9],
      ["video", 0],
    ]);
  });

  it("sends layers, and sees from the answer which are taken", () => {
    const layered = OFFER.replace(
      "a=recvonly",
      "a=sendonly\r\na=rid:l send\r\na=simulcast:send l;h",
    );
    const [, video] = children(jingle(layered), "content");
    const description = video && children(video, "description")[0];
    const layers = children(children(description, "simulcast")[0], "layer");
    expect(layers.map(({ attrs }) => attrs.rid)).toEqual(["l", "h"]);
    const section = travelled(layered).sections[1];
    expect(section && allOf(section, "simulcast")).toEqual(["recv l;h"]);
    expect(section && allOf(section, "rid")).toEqual(["l recv", "h recv"]);
  });

  it("lets nobody write lines of their own", () => {
    const evil = xml("jingle", {}, ...jingleFromSdp(OFFER, "initiator"));
    const content = children(evil, "content")[0];
    if (content) content.attrs.name = "0\r\na=setup:passive\r\nm=audio 1 x 1";
    const written = parseSdp(sdpFromJingle(evil, "initiator"));
    expect(written.sections).toHaveLength(2);
    expect(allOf(written.sections[0] ?? written, "setup")).toEqual(["actpass"]);
  });
});

describe("candidates", () => {
  const line =
    "candidate:1 1 udp 2122260223 192.0.2.1 54321 typ srflx raddr 10.0.0.1 rport 9 generation 0";

  it("come back as they were", () => {
    const element = candidateElement(`${line} ufrag abcd network-id 2 network-cost 10`);
    expect(element?.attrs).toMatchObject({
      ip: "192.0.2.1",
      type: "srflx",
      "rel-port": "9",
      network: "2",
    });
    expect(element && candidateLine(element)).toBe(line);
  });

  it("are not made of anything else", () => {
    expect(candidateElement("")).toBeUndefined();
    const element = candidateElement(line);
    if (element) element.attrs.ip = "1.2.3.4 5 typ host";
    expect(element && candidateLine(element)).toBeUndefined();
  });
});
