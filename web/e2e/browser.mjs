// The web client in headless Chromium with a camera and a microphone that are made up.

import { chromium } from "playwright-core";

// Every wait is bounded by this; a healthy server answers in milliseconds, a loaded browser in seconds.
const MILLISECONDS = 30_000;

export class Browser {
  static async launch(server) {
    const self = new Browser();
    self.server = server;
    self.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--auto-select-desktop-capture-source=Entire screen",
        // Machines without a network have no other way to themselves.
        "--allow-loopback-in-peer-connection",
        `--ignore-certificate-errors-spki-list=${server.pin()}`,
      ],
    });
    return self;
  }

  /** A device of its own, at the login form or where `address` leads. */
  async device(account, options = {}, address = this.server.origin) {
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 800 },
      locale: "en-GB",
      permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"],
      ...options,
    });
    context.setDefaultTimeout(MILLISECONDS);
    await context.addInitScript(keepConnections);
    const page = await context.newPage();
    const device = new Device(this, account, page);
    page.on("console", (message) => device.say(message.text()));
    page.on("pageerror", (error) => device.fail(error));
    await page.goto(address);
    return device;
  }

  async online(account, options) {
    const device = await this.device(account, options);
    await device.logIn();
    return device;
  }

  pages() {
    return this.browser.contexts().flatMap((context) => context.pages());
  }

  async closePages() {
    for (const context of this.browser.contexts()) await context.close();
  }

  close() {
    return this.browser.close();
  }
}

export class Device {
  /** What broke in the page. */
  errors = [];

  constructor(browser, account, page) {
    Object.assign(this, { browser, account, page });
  }

  say(text) {
    if (process.env.VERBOSE) console.log(`  ${this.account.user}: ${text}`);
    // What the policy forbids is a mistake of the client.
    if (text.includes("Content Security Policy")) this.errors.push(text);
  }

  fail(error) {
    const text = `${error} ${error.stack}`;
    this.errors.push(text);
    console.log(`  ${this.account.user}: ${text}`);
  }

  async submit(password = this.account.password) {
    await this.page.getByLabel("Address").fill(this.account.jid);
    await this.page.getByLabel("Password", { exact: true }).fill(password);
    await this.page.getByRole("button", { name: "Log in" }).click();
  }

  async logIn() {
    await this.submit();
    await this.loggedIn();
  }

  loggedIn() {
    return this.page.getByRole("navigation", { name: "Chats and contacts" }).waitFor();
  }

  async addContact(account) {
    await this.button("Add contact").click();
    await this.page.getByLabel("Their address").fill(account.jid);
    await this.page.getByRole("button", { name: "Add", exact: true }).click();
    await this.chatWith(account.user);
  }

  acceptContact() {
    return this.button("Accept").click();
  }

  /** Until the chat is on the screen. */
  chatWith(name) {
    return this.page.getByRole("heading", { name, level: 1 }).waitFor();
  }

  async open(account) {
    await this.page.goto(`${this.browser.server.origin}/chat/${encodeURIComponent(account.jid)}`);
    await this.chatWith(account.user);
  }

  async write(text) {
    const input = this.page.getByRole("textbox", { name: /^Message to/ });
    await input.fill(text);
    await input.press("Enter");
  }

  messages() {
    return this.page.getByRole("log").getByRole("listitem");
  }

  shows(text) {
    return this.messages().filter({ hasText: text }).first().waitFor();
  }

  /** Takes the way to the server away, and waits until the page knows. */
  async cut() {
    await this.page.evaluate(() => {
      window.isCut = true;
      for (const socket of window.sockets) socket.close();
    });
    await this.page.getByText("No connection. Trying again…").waitFor();
  }

  /** Gives it back, as the browser says when it has a network again. */
  mend() {
    return this.page.evaluate(() => {
      window.isCut = false;
      dispatchEvent(new Event("online"));
    });
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }
}

/** Two people who know each other, each in the chat with the other. */
export async function pair(browser, options) {
  const { server } = browser;
  const [romeo, juliet] = [server.account(unique("romeo")), server.account(unique("juliet"))];
  const [one, other] = await Promise.all([
    browser.online(romeo, options),
    browser.online(juliet, options),
  ]);
  await one.addContact(juliet);
  await other.acceptContact();
  await other.page.getByRole("button", { name: "Contacts" }).click();
  await other.page.getByRole("link", { name: romeo.user }).click();
  await other.chatWith(romeo.user);
  return [one, other];
}

/** Runs in the page, before its own scripts. */
export function keepConnections() {
  window.sockets = [];
  window.peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      const iceTransportPolicy = localStorage.getItem("test.relayed") ? "relay" : "all";
      super({ ...configuration, iceTransportPolicy });
      window.peers.push(this);
    }
  };
  window.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      // Nobody listens there.
      super(window.isCut ? "wss://localhost:1/" : url, protocols);
      window.sockets.push(this);
    }
  };
}

let count = 0;

export function unique(name) {
  count += 1;
  return `${name}-${count}`;
}
