import { expect, it } from "vitest";

import { iceServer } from "./relays";
import { xml } from "./xml";

it("makes addresses of services", () => {
  const turn = { type: "turn", host: "t.org", port: "3478", transport: "udp" };
  const secret = { username: "u", password: "p" };
  expect(iceServer(xml("service", { ...turn, ...secret }))).toEqual([
    { urls: "turn:t.org:3478?transport=udp", username: "u", credential: "p" },
  ]);
  expect(iceServer(xml("service", turn))).toEqual([]);
  expect(iceServer(xml("service", { ...turn, type: "stun" }))).toEqual([
    { urls: "stun:t.org:3478" },
  ]);
  expect(iceServer(xml("service", { ...turn, type: "stun", host: "::1" }))).toEqual([
    { urls: "stun:[::1]:3478" },
  ]);
  expect(iceServer(xml("service", { type: "ftp", host: "f" }))).toEqual([]);
});
