// A way to the server's media that carries only so much of what the server sends.

import { createSocket } from "node:dgram";

// What waits for longer is thrown away, as where networks are narrow.
const MOST_QUEUED_MILLISECONDS = 250;

export class NarrowWay {
  /** Bit/s. */
  rate = Number.POSITIVE_INFINITY;
  sockets = new Map();
  /** When what was sent last is through. */
  free = 0;

  /** To this port of 127.0.0.1. */
  static async to(port) {
    const self = new NarrowWay();
    self.server = port;
    self.here = createSocket("udp4");
    self.here.on("message", (packet, from) => self.there(from).send(packet, port, "127.0.0.1"));
    await new Promise((resolve) => self.here.bind(0, "127.0.0.1", resolve));
    return self;
  }

  get port() {
    return this.here.address().port;
  }

  /** Makes a page that has not been loaded go this way. */
  async lead({ page }) {
    const ports = { from: this.server, to: this.port };
    await page.evaluate(detour, ports);
    await page.addInitScript(detour, ports);
  }

  /** By which the server sees a client. */
  there({ address, port }) {
    const known = this.sockets.get(port);
    if (known) return known;
    const socket = createSocket("udp4");
    socket.on("message", (packet) => this.carry(packet, port, address));
    this.sockets.set(port, socket);
    return socket;
  }

  carry(packet, port, address) {
    const now = performance.now();
    const begins = Math.max(now, this.free);
    if (begins - now > MOST_QUEUED_MILLISECONDS) return;
    this.free = begins + (packet.length * 8_000) / this.rate;
    const arrive = () => this.here.send(packet, port, address);
    if (this.free - now < 1) arrive();
    else setTimeout(() => this.isOpen && arrive(), this.free - now);
  }

  isOpen = true;

  close() {
    this.isOpen = false;
    for (const socket of [this.here, ...this.sockets.values()]) socket.close();
  }
}

/** Runs in the page: another port stands for that of the server, and UDP is the only way. */
function detour({ from, to }) {
  const { prototype } = RTCPeerConnection;
  const { setRemoteDescription, addIceCandidate } = prototype;
  const turned = (line) =>
    / tcp /i.test(line) ? "" : line.replace(` ${from} typ host`, ` ${to} typ host`);
  prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split("\r\n").map((line) => {
      return line.startsWith("a=candidate:") ? turned(line) : line;
    });
    // One that is left out leaves no empty line.
    const whole = lines.filter((line, n) => line !== "" || n === lines.length - 1);
    return setRemoteDescription.call(this, { type, sdp: whole.join("\r\n") });
  };
  prototype.addIceCandidate = function (init) {
    const candidate = turned(init?.candidate ?? "");
    if (init?.candidate && !candidate) return Promise.resolve();
    return addIceCandidate.call(this, init && { ...init.toJSON?.(), ...init, candidate });
  };
}
