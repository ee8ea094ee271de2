import { describe, expect, it } from "vitest";

import {
  attachmentOf,
  type Message,
  merge,
  newestMarkable,
  noteFrom,
  progress,
} from "./conversation";

function said(id: string, time: number, more: Partial<Message> = {}): Message {
  return { id, sender: "juliet@e.org", mine: false, body: id, time, ...more };
}

const mine = (id: string, time: number, more: Partial<Message> = {}) =>
  said(id, time, { sender: "romeo@e.org", mine: true, progress: "waiting", ...more });

describe("merging", () => {
  it("keeps the order of time whichever way messages come", () => {
    const page = [said("a", 1), said("b", 2)];
    expect(merge([said("c", 3)], page).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  it("knows what it sent when it comes back from the archive", () => {
    const back = mine("1", 99, { archiveId: "A", progress: undefined });
    const [only, ...rest] = merge([mine("1", 100)], [back]);
    expect(rest).toEqual([]);
    expect(only).toMatchObject({ archiveId: "A", time: 99, progress: "sent" });
  });

  it("does not forget that a message was seen", () => {
    const seen = mine("1", 1, { progress: "displayed" });
    expect(merge([seen], [mine("1", 1, { progress: "sent" })])[0]?.progress).toBe("displayed");
  });

  it("takes equal ids of different senders for different messages", () => {
    expect(merge([said("1", 1)], [mine("1", 2)])).toHaveLength(2);
  });

  it("takes different archive ids for different messages whatever their own ids", () => {
    const twice = merge([said("1", 1, { archiveId: "A" })], [said("1", 2, { archiveId: "B" })]);
    expect(twice).toHaveLength(2);
  });
});

describe("progress", () => {
  it("includes earlier messages once a later one was seen", () => {
    const all = [
      mine("1", 1, { progress: "sent" }),
      said("x", 2),
      mine("2", 3, { progress: "sent" }),
    ];
    const after = progress(all, "2", "displayed");
    expect(after.map((message) => message.progress)).toEqual(["displayed", undefined, "displayed"]);
  });

  it("never goes back, but to failure", () => {
    const seen = [mine("1", 1, { progress: "displayed" })];
    expect(progress(seen, "1", "received")[0]?.progress).toBe("displayed");
    expect(progress(seen, "1", "failed")[0]?.progress).toBe("failed");
  });

  it("is not moved by others who guess an id", () => {
    const all = [said("1", 1)];
    expect(progress(all, "1", "displayed")).toBe(all);
  });

  it("does not claim that what still waits was seen", () => {
    const all = [mine("1", 1), mine("2", 2, { progress: "sent" })];
    expect(progress(all, "2", "displayed")[0]?.progress).toBe("waiting");
  });
});

it("marks the newest message of the others, if they want to know", () => {
  const all = [said("1", 1, { markable: true }), mine("2", 2), said("3", 3, { markable: true })];
  expect(newestMarkable(all)?.id).toBe("3");
  expect(newestMarkable([...all, said("4", 4)])).toBeUndefined();
});

it("tells once how a call went, whoever says it", () => {
  const note = (archiveId: string, mine: boolean) =>
    said("c", 5, { archiveId, mine, note: "ended" });
  expect(merge([note("A", true)], [note("B", false)])).toHaveLength(1);
  expect(noteFrom("retract", false)).toBe("missed");
  expect(noteFrom("retract", true)).toBe("cancelled");
  expect(noteFrom("ringing", false)).toBeUndefined();
});

it("attaches what the web can show", () => {
  expect(attachmentOf("https://e.org/a.png")).toMatchObject({ kind: "image", name: "a.png" });
  expect(attachmentOf("data:text/html,x")).toBeUndefined();
});
