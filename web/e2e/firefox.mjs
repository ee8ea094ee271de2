// Debian's Firefox, headless, with a camera and a microphone that are made up. It is driven by WebDriver BiDi
// through Puppeteer: Playwright asks it for what this release does not know.

import { existsSync } from "node:fs";

import puppeteer from "puppeteer-core";

import { keepConnections } from "./browser.mjs";

const PROGRAM = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
const MILLISECONDS = 30_000;

const PREFERENCES = {
  "intl.accept_languages": "en-GB",
  "media.autoplay.default": 0,
  "media.navigator.permission.disabled": true,
  "media.navigator.streams.fake": true,
  // Machines without a network have no other way to themselves.
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
};

export class Firefox {
  static isHere = () => existsSync(PROGRAM);

  static async launch() {
    const self = new Firefox();
    self.browser = await puppeteer.launch({
      browser: "firefox",
      executablePath: PROGRAM,
      // The server's certificate is signed by nobody.
      acceptInsecureCerts: true,
      extraPrefsFirefox: PREFERENCES,
    });
    self.tab = await self.browser.newPage();
    self.tab.setDefaultTimeout(MILLISECONDS);
    await self.tab.evaluateOnNewDocument(keepConnections);
    return self;
  }

  /** What the functions of media.mjs make use of, as Playwright has it. */
  get page() {
    return {
      waitForFunction: (run, value, options) => this.tab.waitForFunction(run, options, value),
    };
  }

  /** Follows a guest link, under a name. */
  async join(link, name) {
    await this.tab.goto(link);
    await this.tab.locator("input[autocomplete=name]").fill(name);
    await this.tab.locator("button[type=submit]").click();
    await this.tab.waitForSelector("[role=toolbar]");
  }

  close() {
    return this.browser.close();
  }
}
