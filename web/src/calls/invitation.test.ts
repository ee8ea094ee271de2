import { describe, expect, it } from "vitest";

import { type Call, collide, ended, hear, type Name, type Phase, type Word } from "./invitation";

const outgoing = (phase: Phase): Call => ({
  id: "1",
  peer: "juliet@e.org",
  outgoing: true,
  media: "video",
  phase,
});
const incoming = (phase: Phase): Call => ({ ...outgoing(phase), outgoing: false });

const word = (name: Name, more: Partial<Word> = {}): Word => ({
  name,
  id: "1",
  from: "juliet@e.org/phone",
  own: false,
  tieBreak: false,
  busy: false,
  ...more,
});

const heard = (call: Call, name: Name, more?: Partial<Word>) => hear(call, word(name, more));

describe("our call", () => {
  it("rings, is taken, and is set up with the device that took it", () => {
    const ringing = heard(outgoing("calling"), "ringing").call;
    expect(ringing.phase).toBe("ringing");
    const { call, action } = heard(ringing, "proceed");
    expect(call).toMatchObject({ phase: "connecting", device: "juliet@e.org/phone" });
    expect(action).toBe("initiate");
  });

  it("is set up once, whoever else takes it", () => {
    const { call } = heard(outgoing("calling"), "proceed");
    const second = heard(call, "proceed", { from: "juliet@e.org/desk" });
    expect(second).toEqual({ call, action: "none" });
  });

  it("may be declined", () => {
    expect(heard(outgoing("ringing"), "reject").call.end).toBe("declined");
    expect(heard(outgoing("ringing"), "reject", { busy: true }).call.end).toBe("busy");
    // One device of theirs took it, another is late.
    expect(heard(outgoing("active"), "reject").call.phase).toBe("active");
  });
});

describe("a call that comes in", () => {
  it("stops ringing when another device of ours answers", () => {
    for (const name of ["proceed", "accept", "reject"] as const) {
      expect(heard(incoming("incoming"), name, { own: true }).call.end).toBe("elsewhere");
    }
  });

  it("is not ended by the copy of what this device said", () => {
    expect(heard(incoming("connecting"), "proceed", { own: true }).call.phase).toBe("connecting");
  });

  it("stops ringing when they give up", () => {
    expect(heard(incoming("incoming"), "retract").call.end).toBe("cancelled");
    expect(heard(incoming("active"), "retract").call.phase).toBe("active");
  });

  it("ends with their word, not with that of our other device", () => {
    expect(heard(incoming("active"), "finish").call.end).toBe("hung-up");
    expect(heard(incoming("active"), "finish", { own: true }).call.phase).toBe("active");
  });
});

it("other calls' messages change nothing", () => {
  const call = outgoing("calling");
  expect(heard(call, "proceed", { id: "2" }).call).toBe(call);
});

it("an end keeps its reason", () => {
  expect(ended(ended(outgoing("active"), "failed"), "hung-up").end).toBe("failed");
});

it("of two calls that cross the lower id wins", () => {
  const call = outgoing("ringing");
  expect(collide(undefined, "2", call.peer)).toBe("ring");
  expect(collide(call, "2", call.peer)).toBe("ours-wins");
  expect(collide(call, "0", call.peer)).toBe("theirs-wins");
  expect(collide(call, "0", "nurse@e.org")).toBe("busy");
  expect(collide(outgoing("active"), "0", call.peer)).toBe("busy");
  expect(collide(ended(call, "failed"), "2", call.peer)).toBe("ring");
});
