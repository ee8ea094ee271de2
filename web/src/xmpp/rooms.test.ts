import { describe, expect, it } from "vitest";

import { ns } from "./ns";
import { joinPresence, parseRoomPresence, subjectOf } from "./rooms";
import { xml } from "./xml";

function presence(type: string | undefined, codes: string[], item = {}) {
  return xml(
    "presence",
    { from: "hall@c.example.org/Romeo", type },
    xml(
      "x",
      { xmlns: ns.mucUser },
      xml("item", { affiliation: "member", role: "participant", ...item }),
      ...codes.map((code) => xml("status", { code })),
    ),
  );
}

describe("rooms", () => {
  it("know their occupants", () => {
    const read = parseRoomPresence(presence(undefined, ["110", "201"], { jid: "romeo@e.org/x" }));
    expect(read).toMatchObject({ room: "hall@c.example.org", self: true, created: true });
    expect(read?.occupant).toMatchObject({ nick: "Romeo", jid: "romeo@e.org", inCall: false });
  });

  it("do not count the focus of their calls", () => {
    const focus = presence(undefined, []);
    focus.append(xml("c", { xmlns: ns.caps, node: ns.welloFocus }));
    expect(parseRoomPresence(focus)).toBeUndefined();
  });

  it("tell why somebody is gone", () => {
    const removed = (codes: string[]) => parseRoomPresence(presence("unavailable", codes))?.removed;
    expect(removed(["307"])).toBe("kicked");
    expect(removed(["301", "110"])).toBe("banned");
    expect(removed([])).toBeUndefined();
    expect(parseRoomPresence(presence("unavailable", ["303"], { nick: "R" }))?.newNick).toBe("R");
  });

  it("are entered without the history that the archive has anyway", () => {
    const text = joinPresence("hall@c", "Romeo", xml("c"), "secret").toString();
    expect(text).toContain('<history maxstanzas="0"/>');
    expect(text).toContain("<password>secret</password>");
  });

  it("have a subject that no message with a body sets", () => {
    const subject = xml("subject", {}, "Fire");
    expect(subjectOf(xml("message", { type: "groupchat" }, subject))).toBe("Fire");
    const both = xml("message", { type: "groupchat" }, subject, xml("body", {}, "x"));
    expect(subjectOf(both)).toBeUndefined();
  });
});
