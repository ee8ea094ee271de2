import { describe, expect, it } from "vitest";

import { scram } from "./scram";

// RFC 7677, section 3.
const NONCE = "rOprNGfwEbeRWgbNEkqO";
const CHALLENGE =
  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const user = { username: "user", password: "pencil" };

async function challenged(challenge: string) {
  const mechanism = new (scram("SHA-256", () => NONCE))();
  expect(await mechanism.response(user)).toBe(`n,,n=user,r=${NONCE}`);
  mechanism.challenge(challenge);
  return mechanism;
}

describe("SCRAM", () => {
  it("proves what RFC 7677 proves", async () => {
    const mechanism = await challenged(CHALLENGE);
    expect(await mechanism.response(user)).toBe(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    mechanism.final("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });

  it("does not trust a server that does not know the password", async () => {
    const mechanism = await challenged(CHALLENGE);
    await mechanism.response(user);
    expect(() => mechanism.final("v=AAAA")).toThrow();
  });

  it("refuses a nonce that is not an extension of ours, and few or endless iterations", async () => {
    const wrong = [
      CHALLENGE.replace("r=rOpr", "r=xOpr"),
      CHALLENGE.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""),
      CHALLENGE.replace("4096", "1"),
      CHALLENGE.replace("4096", "99999999"),
    ];
    for (const challenge of wrong) {
      const mechanism = await challenged(challenge);
      await expect(mechanism.response(user)).rejects.toThrow();
    }
  });

  it("escapes names", async () => {
    const mechanism = new (scram("SHA-1", () => "n"))();
    expect(await mechanism.response({ username: "a=b,c", password: "" })).toBe(
      "n,,n=a=3Db=2Cc,r=n",
    );
  });
});
