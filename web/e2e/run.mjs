// The web client against a real server: run.mjs SERVER [--only TEXT] [--pictures FOLDER] [--like CONFIG]

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { isAccessible } from "./accessible.mjs";
import { Browser } from "./browser.mjs";
import * as calls from "./calls.test.mjs";
import * as chat from "./chat.test.mjs";
import * as guests from "./guests.test.mjs";
import * as layers from "./layers.test.mjs";
import * as meetings from "./meetings.test.mjs";
import { Server } from "./server.mjs";

// Bound on one test.
const MILLISECONDS = 120_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    pictures: { type: "string" },
    // The configuration whose listeners the server has.
    like: { type: "string", default: fileURLToPath(new URL("../../config.toml", import.meta.url)) },
  },
});
if (values.pictures) mkdirSync(values.pictures, { recursive: true });

const sum = { passed: 0, failed: 0, skipped: 0 };
const server = await Server.start(positionals[0], values.like);
const browser = await Browser.launch(server);

async function run(name, body) {
  const device = [];
  let shots = 0;
  const t = {
    browser,
    server,
    /** A page worth looking at: tries whether everybody can use it, and keeps what it shows on demand. */
    async picture(page, what) {
      await isAccessible(page);
      if (values.pictures) await page.screenshot({ path: `${values.pictures}/${what}.png` });
    },
    /** Fails the test if something broke in one of these devices. */
    watch: (...devices) => device.push(...devices),
    /** Leaves the test here: the server does not offer what it is about. */
    skip(reason) {
      throw Object.assign(new Error(reason), { skipped: true });
    },
  };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("took too long")), MILLISECONDS);
  });
  try {
    await Promise.race([body(t), late]);
    const errors = device.flatMap(({ errors }) => errors);
    if (errors.length > 0) throw new Error(`in the page: ${errors.join("\n")}`);
    sum.passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    if (error.skipped) {
      sum.skipped += 1;
      console.log(`skipped ${name}: ${error.message}`);
      return;
    }
    sum.failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
    for (const page of values.pictures ? browser.pages() : []) {
      shots += 1;
      const path = `${values.pictures}/failed-${sum.failed}-${shots}.png`;
      await page.screenshot({ path }).catch(() => {});
    }
  } finally {
    clearTimeout(timer);
    await browser.closePages();
  }
}

try {
  const files = [chat, calls, meetings, layers, guests];
  for (const [name, body] of files.flatMap(({ tests }) => Object.entries(tests))) {
    if (name.includes(values.only)) await run(name, body);
  }
} finally {
  await browser.close();
  await server.stop();
}
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exit(sum.failed === 0 ? 0 : 1);
