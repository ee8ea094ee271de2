// Headless Chromium, and Converse.js in its pages.

import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

// Every wait is bounded by this; a healthy server answers in milliseconds, a loaded browser in seconds.
const MILLISECONDS = 20_000;

const DIST = join(fileURLToPath(new URL(".", import.meta.url)), "node_modules/converse.js/dist");
const TYPES = {
  ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
  ".png": "image/png", ".svg": "image/svg+xml", ".wasm": "application/wasm",
};

// Another origin than the server's, as when somebody else hosts the page: CORS must allow it.
const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="/dist/converse.css"></head>
<body class="converse-fullscreen"><div id="conversejs-bg"></div>
<script type="module">
  import converse from "/dist/converse.js";
  converse.plugins.add("tests", { initialize() { window.chat = this._converse.api; } });
  converse.initialize({
    whitelisted_plugins: ["tests"], assets_path: "/dist/", loglevel: "debug", i18n: "en",
    view_mode: "fullscreen", play_sounds: false, show_desktop_notifications: false,
    show_retraction_warning: false, muc_nickname_from_jid: true, disable_effects: true,
  });
</script></body></html>`;

/** Serves the page and Converse.js on a free port of 127.0.0.1. */
async function servePage() {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    if (path === "/blank") return response.setHeader("content-type", "text/html").end("<!doctype html><title>-</title>");
    if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
    const file = path.startsWith("/dist/") && createReadStream(join(DIST, path.slice(6)));
    if (!file) return response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
    file.on("error", () => response.writeHead(404).end());
    file.pipe(response);
  });
  return listen(server);
}

function listen(server) {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** A TCP relay to the server's HTTPS port, so that a test can cut what runs through it. */
async function relay(target) {
  const sockets = new Set();
  const server = await listen(createTcpServer((down) => {
    const up = connect(target.https, target.host);
    for (const [one, other] of [[down, up], [up, down]]) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => (sockets.delete(one), other.destroy()));
      one.pipe(other);
    }
  }));
  return { port: server.address().port, cut: () => sockets.forEach((socket) => socket.destroy()) };
}

/** The one key whose certificate Chromium accepts although no authority has signed it. */
function pin(certificate) {
  const key = new X509Certificate(readFileSync(certificate)).publicKey;
  return createHash("sha256").update(key.export({ type: "spki", format: "der" })).digest("base64");
}

let count = 0;

export class Browser {
  /** `trusted`: the path of the certificate whose key is accepted. */
  static async launch(target, trusted = target.ca) {
    const self = new Browser();
    self.target = target;
    self.page = await servePage();
    self.relay = await relay(target);
    self.browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
        `--ignore-certificate-errors-spki-list=${pin(trusted)}`,
        // Converse looks for host-meta on port 443, which the server does not have here; and what
        // goes to its own port goes through the relay.
        `--host-resolver-rules=MAP ${target.domain}:443 127.0.0.1:${self.relay.port},`
          + `MAP ${target.domain}:${target.https} 127.0.0.1:${self.relay.port}`,
      ],
    });
    return self;
  }

  /** Registers an account that no other test uses. */
  account(name) {
    const account = { user: `${name}-converse-${++count}`, password: `pass of ${name}` };
    const [program, ...rest] = this.target.add_user.map((part) =>
      part.replace("{user}", account.user).replace("{password}", account.password));
    execFileSync(program, rest, { timeout: 60_000, stdio: "pipe" });
    return { ...account, jid: `${account.user}@${this.target.domain}` };
  }

  /** Converse in a profile of its own, at its login form. */
  async client(account) {
    const context = await this.browser.newContext();
    context.setDefaultTimeout(MILLISECONDS);
    const page = await context.newPage();
    page.on("console", (message) => console.log(`${account.user}: ${message.text()}`));
    page.on("pageerror", (error) => console.log(`${account.user}: ${error.stack}`));
    const client = new Client(this, account, page);
    await client.visit();
    return client;
  }

  /** A page without anything in it. */
  async blank() {
    const context = await this.browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${this.page.address().port}/blank`);
    return page;
  }

  /** Converse, logged in. */
  async online(account) {
    const client = await this.client(account);
    await client.login();
    return client;
  }

  /** Keeps what the pages show, for the log. */
  async picture(path) {
    const pages = this.browser.contexts().flatMap((context) => context.pages());
    await Promise.all(pages.map((page, n) => page.screenshot({ path: `${path}-${n}.png` })));
  }

  async closePages() {
    for (const context of this.browser.contexts()) await context.close();
  }

  async close() {
    await this.browser.close();
    this.page.close();
  }
}

export class Client {
  constructor(browser, account, page) {
    Object.assign(this, { browser, account, page });
  }

  visit() {
    return this.page.goto(`http://127.0.0.1:${this.browser.page.address().port}/`);
  }

  async submit(password = this.account.password) {
    await this.page.fill("#converse-login-jid", this.account.jid);
    await this.page.fill("#converse-login-password", password);
    await this.page.click("#converse-login button[type=submit]");
  }

  async login() {
    await this.submit();
    await this.connected();
  }

  connected() {
    return this.page.locator("converse-user-profile .username").waitFor();
  }

  /** What is said on the WebSocket from now on. */
  record() {
    const socket = {};
    const frames = [];
    const waiting = [];
    this.page.on("websocket", (opened) => {
      socket.url = opened.url();
      const keep = (direction) => ({ payload }) => {
        frames.push([direction, payload]);
        for (const check of waiting) check(payload);
      };
      opened.on("framesent", keep("sent"));
      opened.on("framereceived", keep("received"));
    });
    return {
      socket: () => socket.url,
      sent: () => frames.filter(([way]) => way === "sent").map(([, text]) => text).join("\n"),
      /** Until a frame fits that came or comes. */
      waitFor: (pattern) => new Promise((resolve, reject) => {
        const late = () => reject(new Error(`no ${pattern} on the WebSocket`));
        const timer = setTimeout(late, MILLISECONDS);
        const check = (text) => pattern.test(text) && (clearTimeout(timer), resolve(text));
        waiting.push(check);
        frames.forEach(([, text]) => check(text));
      }),
    };
  }

  /** Runs a function of the page with Converse's API and a JSON value. */
  call(body, argument) {
    return this.page.evaluate(`(${body})(window.chat, ${JSON.stringify(argument)})`);
  }

  /** Until Converse has written the text to the database that outlives the page. */
  keeps(text) {
    return this.page.waitForFunction(inDatabase, text, { polling: 50 });
  }

  /** Opens a chat with a person. */
  async chat(account) {
    await this.call(async (api, jid) => { await api.chats.open(jid, {}, true); }, account.jid);
    return this.box(account.jid, (client) => client.chat(account));
  }

  /** Joins a room, making it if there is none. */
  async join(room) {
    await this.call(async (api, jid) => { await api.rooms.open(jid, {}, true); }, room);
    const box = this.box(room, (client) => client.join(room));
    await box.root.locator("converse-muc-message-form textarea").waitFor();
    return box;
  }

  box(jid, reopened) {
    return new Box(this, jid, this.page.locator(`.chatbox[jid="${jid}"]`), reopened);
  }
}

/** Runs in the page. */
async function inDatabase(text) {
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    try {
      for (const store of database.objectStoreNames) {
        const all = await done(database.transaction(store).objectStore(store).getAll());
        if (JSON.stringify(all).includes(text)) return true;
      }
    } finally {
      database.close();
    }
  }
  return false;
}

/** An open chat or room. */
export class Box {
  /** `reopened`: opens the same on another client. */
  constructor(client, jid, root, reopened) {
    Object.assign(this, { client, jid, root, reopened });
  }

  async send(text) {
    const input = this.root.locator("textarea.chat-textarea");
    await input.fill(text);
    await input.press("Enter");
  }

  /** The message that shows the text. */
  message(text) {
    return this.root.locator(".chat-msg", { has: this.client.page.locator(".chat-msg__text", { hasText: text }) });
  }

  shows(text) {
    return this.message(text).first().waitFor();
  }

  upload(name, mimeType, buffer) {
    return this.root.locator("input.fileupload").setInputFiles({ name, mimeType, buffer });
  }

  /** Chooses from the menu of a message. */
  async act(text, action) {
    const message = this.message(text);
    await message.hover();
    await message.locator("converse-dropdown.chat-msg__actions .dropdown-toggle").click();
    await message.locator(`.chat-msg__action-${action}`).click();
  }

  async retract(text) {
    await this.act(text, "retract");
    await this.client.page.locator("converse-confirm-modal button[type=submit]").click();
  }

  /** Records a second of sound and posts it to this chat by the REST API, as a web app would. */
  postClip() {
    const { jid, password } = this.client.account;
    const { domain, https } = this.client.browser.target;
    const api = `https://${domain}:${https}/api/v1`;
    return this.client.page.evaluate(recordAndPost, { api, jid, password, to: this.jid });
  }
}

/** Runs in the page. */
async function recordAndPost({ api, jid, password, to }) {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const output = context.createMediaStreamDestination();
  tone.connect(output);
  tone.start();
  const recorder = new MediaRecorder(output.stream, { mimeType: "audio/webm;codecs=opus" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  recorder.stop();
  await stopped;
  const post = async (path, headers, body) => {
    const answer = await fetch(`${api}/${path}`, { method: "POST", headers, body });
    const { data, ...rest } = await answer.json();
    if (!data) throw new Error(JSON.stringify(rest));
    return data;
  };
  const { token } = await post("auth/login", { "content-type": "application/json" },
    JSON.stringify({ email: jid, password }));
  const address = encodeURIComponent(to);
  return post(`ptt/clips?to=${address}`, { authorization: `Bearer ${token}` }, new Blob(parts));
}
