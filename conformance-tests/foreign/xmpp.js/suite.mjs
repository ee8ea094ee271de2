// xmpp.js against the server: suite.mjs TARGET RESULTS.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import assert from "node:assert/strict";

import { accounts, connect, online, setTarget, TRANSPORTS, within } from "./client.mjs";
import { xml } from "@xmpp/client";

const SASL2 = "urn:xmpp:sasl:2";
const FAST = "urn:xmpp:fast:0";
const BIND2 = "urn:xmpp:bind:0";
const SM = "urn:xmpp:sm:3";

const [targetPath, resultsPath] = process.argv.slice(2);
const target = JSON.parse(readFileSync(targetPath, "utf8"));
setTarget(target);

const tests = [];
const test = (name, body) => tests.push([name, body]);

for (const transport of TRANSPORTS) {
  test(`${transport}: login and bind`, async () => {
    const client = await online(accounts.fresh("login"), transport);
    assert.equal(client.jid.domain, target.domain);
    assert.ok(client.jid.resource);
  });

  test(`${transport}: wrong password is refused`, async () => {
    const account = { ...accounts.fresh("login"), password: "not it" };
    const client = connect(account, transport);
    await assert.rejects(within(client.start(), "refusal"), { condition: "not-authorized" });
  });

  test(`${transport}: roster`, async () => {
    const client = await online(accounts.fresh("romeo"), transport);
    const NS = "jabber:iq:roster";
    await client.iqCaller.set(xml("query", { xmlns: NS },
      xml("item", { jid: "nurse@example.org", name: "Nurse" }, xml("group", {}, "Staff"))));
    const roster = await client.iqCaller.get(xml("query", { xmlns: NS }));
    const item = roster.getChild("item");
    assert.equal(item.attrs.name, "Nurse");
    assert.equal(item.getChildText("group"), "Staff");
  });

  test(`${transport}: presence and messages both ways`, async () => {
    const romeo = await online(accounts.fresh("romeo"), transport);
    const juliet = await online(accounts.fresh("juliet"), "xmpps");
    await romeo.send(chat(juliet.jid, "wherefore art thou é 🚀 <&>"));
    const came = await juliet.expectBody("wherefore art thou é 🚀 <&>");
    assert.equal(came.attrs.from, romeo.jid.toString());
    await juliet.send(chat(romeo.jid, "here"));
    await romeo.expectBody("here");
  });

  test(`${transport}: answers a ping of the server's user`, async () => {
    const romeo = await online(accounts.fresh("romeo"), transport);
    const juliet = await online(accounts.fresh("juliet"), transport);
    const answer = await juliet.iqCaller.request(
      xml("iq", { type: "get", to: romeo.jid.toString() }, xml("ping", { xmlns: "urn:xmpp:ping" })));
    assert.equal(answer.attrs.type, "result");
  });

  test(`${transport}: stanzas are acknowledged`, async () => {
    const romeo = await online(accounts.fresh("romeo"), transport);
    const acked = romeo.acked("count me");
    await romeo.send(chat(romeo.jid.bare(), "count me"));
    await within(acked, "acknowledgement");
  });

  test(`${transport}: resumes after losing the socket`, async () => {
    const romeo = await online(accounts.fresh("romeo"), transport);
    const juliet = await online(accounts.fresh("juliet"), "xmpps");
    const before = romeo.jid.toString();
    const acked = romeo.acked("before the break");
    await romeo.send(chat(juliet.jid, "before the break"));
    await juliet.expectBody("before the break");
    await within(acked, "acknowledgement");
    const resumed = romeo.resumed();
    await romeo.drop();
    await juliet.send(chat(before, "meanwhile"));
    await within(resumed, "resumption");
    await romeo.expectBody("meanwhile");
    assert.equal(romeo.jid.toString(), before);
    await romeo.send(chat(juliet.jid, "after the break"));
    await juliet.expectBody("after the break");
    assert.equal(juliet.bodies().filter((body) => body === "before the break").length, 0);
  });

  test(`${transport}: SASL2 with bind 2 and stream management in one round`, async () => {
    const client = connect(accounts.fresh("romeo"), transport);
    const sent = client.record("send");
    const got = client.record("element");
    await within(client.start(), "login");
    const request = sent.find((element) => element.is("authenticate", SASL2));
    assert.ok(request, "the client authenticated by SASL2");
    assert.ok(request.getChild("bind", BIND2), "it bound in the same request");
    const bound = got.find((element) => element.is("success", SASL2))?.getChild("bound", BIND2);
    assert.ok(bound, "the server bound a resource");
    assert.ok(bound.getChild("enabled", SM), "and switched stream management on");
  });

  test(`${transport}: FAST token logs in without a password`, async () => {
    const account = accounts.fresh("romeo");
    const agent = xml("user-agent", { id: crypto.randomUUID() });
    let token;
    const first = connect(account, transport, { userAgent: agent });
    first.fast.saveToken = async (saved) => (token = saved);
    await within(first.start(), "login");
    assert.ok(token, "the server gave a token");
    await first.stop();
    const second = connect({ ...account, password: "" }, transport, { userAgent: agent });
    second.fast.fetchToken = async () => token;
    const sent = second.record("send");
    await within(second.start(), "login by token");
    const mechanisms = sent.filter((e) => e.is("authenticate", SASL2)).map((e) => e.attrs.mechanism);
    assert.deepEqual(mechanisms, ["HT-SHA-256-NONE"]);
    assert.ok(sent.some((e) => e.getChild("fast", FAST)));
  });

  test(`${transport}: FAST token of another device falls back to the password`, async () => {
    const account = accounts.fresh("romeo");
    const token = {
      mechanism: "HT-SHA-256-NONE", token: "made-up", expiry: "2999-01-01T00:00:00Z",
    };
    const client = connect(account, transport);
    client.fast.fetchToken = async () => token;
    const got = client.record("element");
    await within(client.start(), "login by password");
    assert.ok(got.some((e) => e.is("failure", SASL2)), "the made-up token was refused");
  });
}

function chat(to, body) {
  return xml("message", { to: to.toString(), type: "chat", id: crypto.randomUUID() },
    xml("body", {}, body));
}

writeFileSync(resultsPath, "");
for (const [name, body] of tests) {
  if (!name.includes(target.only)) continue;
  let outcome = "passed";
  let reason = "";
  try {
    await within(body(), "end of the test", 120_000);
  } catch (error) {
    outcome = "failed";
    reason = String(error?.message ?? error);
    console.log(`== ${name}\n${error?.stack}`);
  }
  await connect.closeAll();
  appendFileSync(resultsPath, JSON.stringify({ test: name, outcome, reason }) + "\n");
}
process.exit(0);
