import { beforeEach, describe, expect, it, vi } from "vitest";

import { idle, meeting } from "../state/meeting";
import { ns } from "../xmpp/ns";
import { xml } from "../xmpp/xml";
import { Received } from "./received";

class Stream {
  constructor(readonly tracks: MediaStreamTrack[] = []) {}
}

const ROOM = "hall@conference.example";

const content = (name: string, category?: string) =>
  xml(
    "content",
    { name },
    xml("description", {}, category && xml("category", { xmlns: ns.category, name: category })),
  );

const stream = (id: string, nick: string, ...names: string[]) =>
  xml(
    "stream",
    { xmlns: ns.welloCalls, id, occupant: `${ROOM}/${nick}` },
    ...names.map((name) => xml("content", { name })),
  );

const offer = (...all: ReturnType<typeof xml>[]) => xml("jingle", { sid: "d1" }, ...all);

const track = (id: string) => ({ id }) as MediaStreamTrack;

function tiles() {
  return [...meeting.getState().tiles.values()].map(({ id, nick, screen, media, muted }) => ({
    id,
    nick,
    screen,
    muted: muted.audio,
    tracks: (media as unknown as Stream).tracks.map((one) => one.id),
  }));
}

beforeEach(() => {
  vi.stubGlobal("MediaStream", Stream);
  meeting.setState(idle, true);
});

describe("what a session of the focus carries", () => {
  it("is told apart by whose contents are whose", () => {
    const received = new Received(
      offer(
        content("f1"),
        content("f2"),
        content("f3", "slides"),
        stream("s1", "Romeo", "f1", "f2"),
        stream("s2", "Romeo", "f3"),
      ),
    );
    expect(received.gathered).toBe(true);
    for (const name of ["f1", "f2", "f3", "f9"]) received.show(track(name), name);
    received.mute("audio", true, "f1");
    expect(tiles()).toEqual([
      { id: "s1", nick: "Romeo", screen: false, muted: true, tracks: ["f1", "f2"] },
      { id: "s2", nick: "Romeo", screen: true, muted: false, tracks: ["f3"] },
    ]);
  });

  it("comes and goes", () => {
    const received = new Received(offer(content("f1"), stream("s1", "Romeo", "f1")));
    received.show(track("a"), "f1");
    received.add(offer(content("f2"), stream("s1", "Romeo", "f2")));
    received.add(offer(content("f3"), stream("s2", "Nurse", "f3")));
    received.show(track("b"), "f2");
    expect(tiles().map(({ id, tracks }) => [id, tracks])).toEqual([
      ["s1", ["a", "b"]],
      ["s2", []],
    ]);
    received.remove(offer(content("f1")));
    expect(tiles()[0]?.tracks).toEqual(["b"]);
    received.remove(offer(content("f2")));
    expect(tiles().map(({ id }) => id)).toEqual(["s2"]);
    // The same names for somebody else.
    received.add(offer(content("f1"), stream("s3", "Paris", "f1")));
    received.show(track("a"), "f1");
    expect(tiles()[1]).toMatchObject({ id: "s3", nick: "Paris", tracks: ["a"] });
    received.clear();
    expect(tiles()).toEqual([]);
  });

  it("is one stream where nothing else is said", () => {
    const received = new Received(offer(content("0"), content("1"), stream("s1", "Romeo")));
    expect(received.gathered).toBe(false);
    received.show(track("a"), "0");
    received.show(track("b"), "1");
    // As a focus adds to it that names the stream once.
    received.add(offer(content("2")));
    received.show(track("c"), "2");
    received.mute("audio", true, undefined);
    expect(tiles()).toEqual([
      { id: "s1", nick: "Romeo", screen: false, muted: true, tracks: ["a", "b", "c"] },
    ]);
  });
});
