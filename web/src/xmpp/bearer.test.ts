import { expect, it } from "vitest";

import { OauthBearer } from "./bearer";

it("shows the token, and says no more once that is refused", () => {
  const mechanism = new OauthBearer();
  expect(mechanism.response({ password: "a.b.c" })).toBe("n,,\x01auth=Bearer a.b.c\x01\x01");
  mechanism.challenge();
  expect(mechanism.response({ password: "a.b.c" })).toBe("\x01");
});
