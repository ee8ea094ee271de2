import { describe, expect, it } from "vitest";

import { buildMessage, carbonOf, fileOf, parseMessage, peerOf } from "./messages";
import { ns } from "./ns";
import { xml } from "./xml";

const ROMEO = "romeo@example.org";
const JULIET = "juliet@example.org";

describe("messages", () => {
  it("reads what it writes", () => {
    const url = "https://example.org/upload/a/b.png";
    const written = buildMessage({ id: "1", to: JULIET, type: "chat", body: url, file: true });
    const read = parseMessage(written, ROMEO);
    expect(read).toMatchObject({
      id: "1",
      body: url,
      file: url,
      wantsReceipt: true,
      markable: true,
    });
    expect(read.delayed).toBe(false);
  });

  it("asks for no receipts of a whole room", () => {
    const written = buildMessage({ id: "1", to: "r@c", type: "groupchat", body: "x", file: false });
    expect(parseMessage(written, "r@c").wantsReceipt).toBe(false);
  });

  it("believes the stanza-id of its own archive only", () => {
    const forged = xml("stanza-id", { xmlns: ns.stanzaIds, by: JULIET, id: "forged" });
    const real = xml("stanza-id", { xmlns: ns.stanzaIds, by: ROMEO, id: "real" });
    const message = xml("message", { from: JULIET }, forged, real);
    expect(parseMessage(message, ROMEO).archiveId).toBe("real");
    expect(parseMessage(xml("message", {}, forged), ROMEO).archiveId).toBeUndefined();
  });

  it("takes a text with an address in it for text", () => {
    const x = xml("x", { xmlns: ns.oob }, xml("url", {}, "https://example.org/a.png"));
    const message = xml("message", {}, xml("body", {}, "look: https://example.org/a.png"), x);
    expect(parseMessage(message, ROMEO).file).toBeUndefined();
  });

  it("opens carbons of its own account and no others", () => {
    const inner = xml("message", { from: `${ROMEO}/phone`, to: JULIET }, xml("body", {}, "hi"));
    const sent = xml("sent", { xmlns: ns.carbons }, xml("forwarded", { xmlns: ns.forward }, inner));
    expect(carbonOf(xml("message", { from: ROMEO }, sent), ROMEO)).toEqual({
      message: inner,
      sent: true,
    });
    expect(carbonOf(xml("message", { from: JULIET }, sent), ROMEO)).toBeUndefined();
  });

  it("knows invitations of both kinds", () => {
    const direct = xml("x", { xmlns: ns.directInvite, jid: "hall@c", reason: "come" });
    expect(parseMessage(xml("message", {}, direct), ROMEO).invitation).toEqual({
      room: "hall@c",
      reason: "come",
      password: undefined,
    });
    const invite = xml("invite", { from: JULIET }, xml("reason", {}, "come"));
    const mediated = xml("message", { from: "hall@c" }, xml("x", { xmlns: ns.mucUser }, invite));
    expect(parseMessage(mediated, ROMEO).invitation?.room).toBe("hall@c");
  });

  it("names files by their address, and shows no script", () => {
    expect(fileOf("https://x.org/u/ros%C3%A9.PNG")).toMatchObject({
      kind: "image",
      name: "rosé.PNG",
    });
    expect(fileOf("https://x.org/u/clip.ogg")?.kind).toBe("audio");
    expect(fileOf("https://x.org/u/page.html")?.kind).toBe("file");
    expect(fileOf("https://x.org/%E0%A4%A")?.kind).toBe("file");
    expect(fileOf("javascript:alert(1)")).toBeUndefined();
    expect(fileOf("aesgcm://x.org/a.png")).toBeUndefined();
  });

  it("finds the peer of both directions", () => {
    expect(peerOf({ from: `${JULIET}/a`, to: ROMEO }, ROMEO)).toBe(JULIET);
    expect(peerOf({ from: `${ROMEO}/a`, to: `${JULIET}/b` }, ROMEO)).toBe(JULIET);
  });
});
