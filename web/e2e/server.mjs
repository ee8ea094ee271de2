// A Wello of its own for the tests: free ports of 127.0.0.1, data that is gone afterwards.

import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_MILLISECONDS = 60_000;
const STOP_MILLISECONDS = 30_000;

// Nobody here has a public address.
const RELAY = '[turn]\nrelay_address = ["127.0.0.1"]\nallowed_peers = ["127.0.0.0/8"]';

export class Server {
  /** `like`: a whole configuration, whose listeners this one gets too, on other ports. */
  static async start(program, like) {
    const self = new Server();
    self.program = program;
    self.home = mkdtempSync(join(tmpdir(), "wello-web-"));
    self.config = join(self.home, "config.toml");
    const names = listeners(readFileSync(like, "utf8"));
    const ports = await freePorts(names.length);
    self.https = ports[names.indexOf("https")];
    self.media = ports[names.indexOf("media")];
    const lines = names.map((name, n) => `${name} = ["127.0.0.1:${ports[n]}"]`);
    const data = join(self.home, "data");
    writeFileSync(
      self.config,
      `hosts = ["localhost"]\ndata_dir = "${data}"\n[listen]\n${lines.join("\n")}\n${RELAY}\n`,
    );
    self.process = spawn(program, ["serve", "--config", self.config], { cwd: self.home });
    self.process.stderr.pipe(createWriteStream(join(self.home, "server.log")));
    self.ended = new Promise((resolve) => self.process.once("exit", resolve));
    await self.ready();
    return self;
  }

  get origin() {
    return `https://localhost:${this.https}`;
  }

  /** Registers an account. */
  account(user) {
    const account = { jid: `${user}@localhost`, user, password: `pass of ${user}` };
    const { jid, password } = account;
    execFileSync(
      this.program,
      ["user", "add", jid, "--password", password, "--config", this.config],
      { timeout: START_MILLISECONDS, stdio: "pipe" },
    );
    return account;
  }

  /** The page that an invitation leads to. */
  invitation() {
    const said = execFileSync(this.program, ["invite", "--config", this.config], {
      timeout: START_MILLISECONDS,
      encoding: "utf8",
    });
    return /https:\S+/.exec(said)[0];
  }

  /** The one key whose certificate the browser accepts although no authority has signed it. */
  pin() {
    const path = join(this.home, "data", "certs", "localhost.crt");
    const key = new X509Certificate(readFileSync(path)).publicKey;
    return createHash("sha256")
      .update(key.export({ type: "spki", format: "der" }))
      .digest("base64");
  }

  log() {
    return readFileSync(join(this.home, "server.log"), "utf8");
  }

  async stop() {
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), STOP_MILLISECONDS);
    await this.ended;
    clearTimeout(timer);
    rmSync(this.home, { recursive: true, force: true });
  }

  ready() {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error("the server did not start in time"));
      const timer = setTimeout(late, START_MILLISECONDS);
      this.process.once("error", reject);
      this.process.once("exit", () => reject(new Error(`the server ended: ${this.log()}`)));
      createInterface(this.process.stdout).on("line", (line) => {
        if (line.startsWith("ready")) resolve(clearTimeout(timer));
      });
    });
  }
}

/** The keys of [listen]. */
function listeners(text) {
  const section = text.split(/^\[listen\]$/m)[1].split(/^\[/m)[0];
  return [...section.matchAll(/^(\w+) = /gm)].map(([, name]) => name);
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise((resolve) => {
          const server = createServer();
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
