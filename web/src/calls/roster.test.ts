import { expect, it } from "vitest";

import { ns } from "../xmpp/ns";
import { xml } from "../xmpp/xml";
import { parseRoster } from "./roster";

const media = (type: string, status: string) =>
  xml("media", { id: "S:0" }, xml("type", {}, type), xml("status", {}, status));

const document = (state: string) =>
  xml(
    "conference-info",
    { xmlns: ns.conferenceInfo, entity: "xmpp:hall@calls.e.org", state },
    xml(
      "users",
      {},
      xml(
        "user",
        { entity: "xmpp:romeo@e.org" },
        xml(
          "endpoint",
          { entity: "hall@conference.e.org/Romeo" },
          media("audio", "sendonly"),
          media("video", "inactive"),
        ),
      ),
    ),
  );

it("knows who is in a conference and who is muted", () => {
  expect(parseRoster(document("full"))).toEqual([
    { nick: "Romeo", microphone: true, camera: false },
  ]);
  expect(parseRoster(document("partial"))).toBeUndefined();
});
