import { ns } from "../xmpp/ns";
import type { Session } from "../xmpp/session";
import { children, type Element, xml } from "../xmpp/xml";
import { candidateElement, candidateLine } from "./candidate";
import { jingleFromSdp, otherThan, type Role, sdpFromJingle } from "./jingle";
import { firstOf, parseSdp } from "./sdp";

export interface PeerEvents {
  /** `name`: of the content. */
  onTrack(track: MediaStreamTrack, name: string): void;
  onConnected(): void;
  /** For good; the other side has been told unless it said so itself. */
  onEnded(reason: string): void;
  /** They add a medium to the session; what this side sends of it may be added now. */
  onAdded?(): Promise<void>;
  /** They do not take the medium that this side has added. */
  onRefused?(): void;
  /** They switched a medium off or on; without the name of a content everywhere. */
  onMuted?(kind: string, muted: boolean, name: string | undefined): void;
  /** A request that came, before it is done. */
  onJingle?(jingle: Element): void;
}

export interface PeerOptions {
  session: Session;
  sid: string;
  /** The full address of the other side. */
  other: string;
  role: Role;
  iceServers: RTCIceServer[];
  /** What the pictures of this side show (XEP-0507), if not those who speak. */
  category?: string;
  events: PeerEvents;
}

// How long ICE may look for a way back before the call is given up.
const RECOVERY_MILLISECONDS = 20_000;

/** One Jingle session and its RTCPeerConnection. */
export class Peer {
  readonly connection: RTCPeerConnection;
  /** What is added to `<jingle/>` of session-initiate. */
  extras: Element[] = [];
  private readonly muted = new Set<string>();
  /** Candidates that came before the description they belong to. */
  private early: Element[] = [];
  /** Ours that were found before the other side knows of the session. */
  private found: RTCIceCandidate[] | undefined = [];
  /** What the other side said last of itself, with what ICE has become since. */
  private remote: Element | undefined;
  /** What this side adds to the session and they have not answered. */
  private adding: RTCRtpTransceiver | undefined;
  /** New credentials of ours wait for theirs. */
  private restarting = false;
  private over = false;
  /** The last change to what they send: one description after the other. */
  private changing: Promise<void> = Promise.resolve();
  private recovery: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: PeerOptions) {
    const { iceServers, events } = options;
    this.connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.connection.ontrack = ({ track, transceiver }) => {
      events.onTrack(track, transceiver.mid ?? "");
    };
    this.connection.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      if (this.found) this.found.push(candidate);
      else void this.sendCandidate(candidate);
    };
    this.connection.onconnectionstatechange = () => this.watch();
  }

  /** Offers the session; fails if the other side refuses at once. */
  async initiate(): Promise<void> {
    await this.connection.setLocalDescription();
    await this.send("session-initiate", ...this.description(), ...this.extras);
    this.flush();
  }

  /** Takes the session that the other side offered. `prepare` adds what this side sends. */
  accept(offer: Element, prepare?: () => Promise<void>): Promise<void> {
    return this.inTurn(async () => {
      await this.describe("offer", offer);
      await prepare?.();
      await this.connection.setLocalDescription();
      await this.send("session-accept", ...this.description());
      this.flush();
    });
  }

  /** A request of the other side. Throws if it makes no sense. */
  async handle(jingle: Element): Promise<void> {
    const changes = ["content-add", "content-remove"].includes(jingle.attrs.action ?? "");
    return changes ? this.inTurn(() => this.take(jingle)) : this.take(jingle);
  }

  private inTurn(change: () => Promise<void>): Promise<void> {
    const changed = this.changing.then(() => (this.over ? undefined : change()));
    this.changing = changed.catch(() => {});
    return changed;
  }

  private async take(jingle: Element): Promise<void> {
    this.options.events.onJingle?.(jingle);
    switch (jingle.attrs.action) {
      case "session-accept":
        await this.describe("answer", jingle);
        break;
      case "transport-info":
        await this.takeCandidates(children(jingle, "content"));
        break;
      case "session-info":
        this.takeInfo(jingle);
        break;
      case "content-add":
        await this.takeContents(jingle);
        break;
      case "content-remove":
        await this.takeRemoval(jingle);
        break;
      case "content-accept":
        await this.takeAccepted(jingle);
        break;
      case "content-reject":
        await this.takeBack();
        break;
      case "session-terminate": {
        const why = children(jingle, "reason")[0]?.getChildElements()[0]?.name;
        this.finish(why ?? "success");
        break;
      }
    }
  }

  /** Tells the other side whether a medium of ours is off (XEP-0167, section 8). */
  async setMuted(kind: "audio" | "video", muted: boolean): Promise<void> {
    const content = this.contentOf(kind);
    if (this.over || content === undefined || this.muted.has(kind) === muted) return;
    if (muted) this.muted.add(kind);
    else this.muted.delete(kind);
    const creator = "initiator";
    const info = xml(muted ? "mute" : "unmute", { xmlns: ns.rtpInfo, creator, name: content });
    await this.send("session-info", info).catch(() => {});
  }

  async sendInfo(info: Element): Promise<void> {
    await this.send("session-info", info);
  }

  /** Sends another track of a kind, or none. A kind that is not in the session is added to it. */
  replaceTrack(kind: "audio" | "video", track: MediaStreamTrack | undefined): void {
    if (this.over) return;
    const all = this.connection.getTransceivers();
    const sender = all.find(({ receiver }) => receiver.track.kind === kind)?.sender;
    if (!sender && track) this.addContent(track).catch(() => {});
    // Refused when the session ends in the meantime.
    sender?.replaceTrack(track ?? null).catch(() => {});
  }

  /** XEP-0166, section 7.2.2. */
  private async addContent(track: MediaStreamTrack): Promise<void> {
    if (this.connection.signalingState !== "stable") return;
    const known = this.names();
    this.adding = this.connection.addTransceiver(track, { direction: "sendrecv" });
    await this.connection.setLocalDescription();
    const added = this.names().filter((name) => !known.includes(name));
    try {
      await this.send("content-add", ...this.contents(added, this.options.role));
    } catch {
      await this.takeBack();
    }
  }

  /** As if nothing had been added. */
  private async takeBack(): Promise<void> {
    if (this.connection.signalingState !== "have-local-offer") return;
    await this.connection.setLocalDescription({ type: "rollback" });
    this.adding?.stop();
    this.adding = undefined;
    this.options.events.onRefused?.();
  }

  /** Takes what the other side adds. If both add at the same time, the initiator's offer holds. */
  private async takeContents(jingle: Element): Promise<void> {
    const added = children(jingle, "content");
    if (this.adding && this.options.role === "initiator") {
      const named = added.map(({ attrs: { creator, name } }) => xml("content", { creator, name }));
      return this.send("content-reject", ...named);
    }
    if (this.adding) {
      await this.connection.setLocalDescription({ type: "rollback" });
      this.adding.stop();
      this.adding = undefined;
    }
    await this.describe("offer", this.withContents(jingle));
    await this.options.events.onAdded?.();
    await this.connection.setLocalDescription();
    const names = added.map(({ attrs }) => attrs.name);
    const accepted = this.contents(names, otherThan(this.options.role));
    await this.send("content-accept", ...accepted).catch((error: { condition?: string }) => {
      // They have removed it meanwhile, and have said so.
      if (error.condition !== "unexpected-request") throw error;
    });
  }

  /** Their contents that are gone stay in the description: its sections keep their places. */
  private async takeRemoval(jingle: Element): Promise<void> {
    if (!this.remote || this.connection.signalingState !== "stable") return;
    const gone = children(jingle, "content").map(({ attrs }) => attrs.name);
    const named = children(this.remote, "content").filter(({ attrs }) => gone.includes(attrs.name));
    await this.describe("offer", this.withContents(xml("jingle", {}, ...named.map(silent))));
    await this.connection.setLocalDescription();
  }

  private async takeAccepted(jingle: Element): Promise<void> {
    if (!this.adding) return;
    this.adding = undefined;
    await this.describe("answer", this.withContents(jingle));
  }

  /** What the other side has said of itself, with further contents or others of the same names. */
  private withContents(jingle: Element): Element {
    const news = children(jingle, "content");
    const before = children(this.remote, "content");
    const setup = fingerprints(news)[0]?.attrs.setup;
    const contents = before.map(
      (old) => news.find(({ attrs }) => attrs.name === old.attrs.name) ?? old,
    );
    contents.push(...news.filter((one) => !contents.includes(one)));
    const shared = children(before[0], "transport")[0];
    for (const content of contents) {
      // It is bundled with those that there are.
      if (shared && children(content, "transport").length === 0) content.append(bare(shared));
    }
    // An offer leaves it open who begins with DTLS, an answer does not; all contents say the same.
    for (const fingerprint of fingerprints(contents)) fingerprint.attrs.setup = setup;
    return xml("jingle", this.remote?.attrs, ...this.groupsWith(jingle), ...contents);
  }

  /** What is grouped once stays so, even if they do not speak of it any more. */
  private groupsWith(jingle: Element): Element[] {
    const before = children(this.remote, "group")[0];
    const news = children(jingle, "group")[0];
    if (!before || !news) return [news ?? before].filter((group) => group !== undefined);
    const known = children(before, "content").map(({ attrs }) => attrs.name);
    const more = children(news, "content").filter(({ attrs }) => !known.includes(attrs.name));
    return [xml("group", before.attrs, ...children(before, "content"), ...more)];
  }

  terminate(reason: string): void {
    if (this.over) return;
    void this.send("session-terminate", xml("reason", {}, xml(reason))).catch(() => {});
    this.finish(reason);
  }

  private finish(reason: string): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.recovery);
    this.connection.close();
    this.options.events.onEnded(reason);
  }

  private watch(): void {
    const { connectionState } = this.connection;
    if (connectionState === "connected") {
      clearTimeout(this.recovery);
      this.recovery = undefined;
      this.options.events.onConnected();
    } else if (connectionState === "disconnected" || connectionState === "failed") {
      if (this.recovery) return;
      this.recovery = setTimeout(() => this.terminate("connectivity-error"), RECOVERY_MILLISECONDS);
      // One side begins, so that they do not cross.
      if (this.options.role === "initiator") void this.restart().catch(() => {});
    }
  }

  /** Looks for another way, as after a change of networks (XEP-0176, section 6.4). */
  private async restart(): Promise<void> {
    this.restarting = true;
    this.found = [];
    const offer = await this.connection.createOffer({ iceRestart: true });
    await this.connection.setLocalDescription(offer);
    await this.send("transport-info", ...this.transports());
    this.flush();
  }

  private async describe(type: RTCSdpType, jingle: Element): Promise<void> {
    const other = otherThan(this.options.role);
    const offered = type === "answer" ? this.sections() : undefined;
    const sdp = sdpFromJingle(jingle, other, offered);
    await this.connection.setRemoteDescription({ type, sdp });
    this.remote = jingle;
    const early = this.early;
    this.early = [];
    await this.takeCandidates(early);
  }

  private async takeCandidates(contents: Element[]): Promise<void> {
    if (!this.remote) {
      this.early.push(...contents);
      return;
    }
    await this.takeRestart(contents);
    for (const content of contents) {
      const transport = children(content, "transport")[0];
      for (const element of children(transport, "candidate")) {
        const candidate = candidateLine(element);
        if (!candidate) continue;
        const { ufrag } = transport?.attrs ?? {};
        const init = { candidate, sdpMid: content.attrs.name, usernameFragment: ufrag };
        // One that this browser cannot use is no reason to end the call.
        await this.connection.addIceCandidate(init).catch(() => {});
      }
    }
  }

  /** Answers new credentials of the other side by new ones, or takes them for the answer to ours. */
  private async takeRestart(contents: Element[]): Promise<void> {
    const { ufrag, pwd } = children(contents[0], "transport")[0]?.attrs ?? {};
    const known = children(this.remote, "content").flatMap((one) => children(one, "transport"));
    if (!this.remote || !ufrag || !pwd || known[0]?.attrs.ufrag === ufrag) return;
    for (const transport of known) {
      // All contents are bundled.
      Object.assign(transport.attrs, { ufrag, pwd });
      transport.children = transport.children.filter(
        (child) => typeof child === "string" || child.name !== "candidate",
      );
    }
    if (this.restarting) {
      this.restarting = false;
      return this.describe("answer", this.remote);
    }
    this.found = [];
    await this.describe("offer", this.remote);
    await this.connection.setLocalDescription();
    await this.send("transport-info", ...this.transports());
    this.flush();
  }

  private takeInfo(jingle: Element): void {
    for (const info of jingle.getChildElements()) {
      if (info.getNS() !== ns.rtpInfo) continue;
      const { name } = info.attrs;
      const kinds = name === undefined ? ["audio", "video"] : [this.kindOf(name)];
      for (const kind of kinds) {
        if (!kind) continue;
        if (info.name === "mute") this.options.events.onMuted?.(kind, true, name);
        if (info.name === "unmute") this.options.events.onMuted?.(kind, false, name);
      }
    }
  }

  private sections() {
    return parseSdp(this.connection.localDescription?.sdp ?? "").sections;
  }

  private names(): (string | undefined)[] {
    return this.sections().map((section) => firstOf(section, "mid"));
  }

  /** The contents of these names, which `creator` has added, and how all are grouped. */
  private contents(names: (string | undefined)[], creator: Role): Element[] {
    const wanted = this.description().filter(
      ({ name, attrs }) => name !== "content" || names.includes(attrs.name),
    );
    for (const content of wanted) if (content.name === "content") content.attrs.creator = creator;
    return wanted;
  }

  private kindOf(name: string): string | undefined {
    return this.sections().find((section) => firstOf(section, "mid") === name)?.kind;
  }

  private contentOf(kind: string): string | undefined {
    const section = this.sections().find((one) => one.kind === kind);
    return section && firstOf(section, "mid");
  }

  private description(): Element[] {
    const { role, category } = this.options;
    const elements = jingleFromSdp(this.connection.localDescription?.sdp ?? "", role);
    for (const description of elements.flatMap((one) => children(one, "description"))) {
      if (category) description.append(xml("category", { xmlns: ns.category, name: category }));
    }
    return elements;
  }

  /** The contents without what they are. */
  private transports(): Element[] {
    return this.description().flatMap((content) => {
      if (content.name !== "content") return [];
      const { creator, name } = content.attrs;
      return [xml("content", { creator, name }, ...children(content, "transport"))];
    });
  }

  private flush(): void {
    const found = this.found ?? [];
    this.found = undefined;
    for (const candidate of found) void this.sendCandidate(candidate);
  }

  private async sendCandidate(candidate: RTCIceCandidate): Promise<void> {
    const element = candidateElement(candidate.candidate);
    if (!element || this.over) return;
    const sdp = parseSdp(this.connection.localDescription?.sdp ?? "");
    const section = sdp.sections.find((one) => firstOf(one, "mid") === candidate.sdpMid);
    const ufrag = candidate.usernameFragment ?? undefined;
    const pwd = section && firstOf(section, "ice-pwd");
    const transport = xml("transport", { xmlns: ns.iceUdp, ufrag, pwd }, element);
    const name = candidate.sdpMid ?? "0";
    const content = xml("content", { creator: "initiator", name }, transport);
    await this.send("transport-info", content).catch(() => {});
  }

  private async send(action: string, ...content: Element[]): Promise<void> {
    const { session, sid, other, role } = this.options;
    const initiator = role === "initiator" ? session.jid : other;
    const jingle = xml("jingle", { xmlns: ns.jingle, action, sid, initiator }, ...content);
    await session.set(jingle, other);
  }
}

function fingerprints(contents: Element[]): Element[] {
  const transports = contents.flatMap((one) => children(one, "transport"));
  return transports.flatMap((one) => children(one, "fingerprint"));
}

/** A transport without its candidates, which belong to it once. */
function bare(transport: Element): Element {
  const own = children(transport, "fingerprint").map(({ attrs, children: text }) =>
    xml("fingerprint", { ...attrs }, ...text),
  );
  return xml("transport", { ...transport.attrs }, ...own);
}

/** A content of which nothing comes any more. */
function silent(content: Element): Element {
  const descriptions = children(content, "description").map((description) => {
    const kept = description
      .getChildElements()
      .filter(({ name }) => name !== "source" && name !== "ssrc-group");
    return xml("description", { ...description.attrs }, ...kept);
  });
  const attrs = { ...content.attrs, senders: "none" };
  return xml("content", attrs, ...descriptions, ...children(content, "transport"));
}
