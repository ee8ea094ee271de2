import { describe, expect, it } from "vitest";

import { readLinks } from "./guests";

describe("links for guests", () => {
  it("are in the order in which they end; what is no link is left out", () => {
    const links = readLinks([
      "b 2026-11-22T10:00:00Z romeo@example.org",
      "a 2026-11-21T10:00:00Z juliet@example.org",
      "broken",
    ]);
    expect(links).toEqual([
      { id: "a", expires: new Date(Date.UTC(2026, 10, 21, 10)), by: "juliet@example.org" },
      { id: "b", expires: new Date(Date.UTC(2026, 10, 22, 10)), by: "romeo@example.org" },
    ]);
  });
});
