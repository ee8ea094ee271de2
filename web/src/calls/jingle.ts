import { ns } from "../xmpp/ns";
import { children, type Element, xml } from "../xmpp/xml";
import { candidateElement, candidateLine } from "./candidate";
import { allOf, cut, firstOf, parseSdp, type Section, writeSdp } from "./sdp";

/** Who of the two parties of a Jingle session (XEP-0166). */
export type Role = "initiator" | "responder";
export type Senders = "both" | "none" | Role;

/** The children of `<jingle/>` that say what the description of `role` says. */
export function jingleFromSdp(sdp: string, role: Role, creator: Role = "initiator"): Element[] {
  const description = parseSdp(sdp);
  const bundle = allOf(description, "group").map((group) => group.split(" "));
  const groups = bundle.map(([semantics = "", ...names]) =>
    xml(
      "group",
      { xmlns: ns.grouping, semantics },
      ...names.map((name) => xml("content", { name })),
    ),
  );
  // Fingerprint and credentials may stand above all sections.
  const sections = description.sections.map((section) => ({
    ...section,
    attributes: [...section.attributes, ...description.attributes],
  }));
  const contents = sections.map((section, n) =>
    xml(
      "content",
      { creator, name: nameOf(section, n), senders: sendersOf(section, role) },
      rtpDescription(section),
      transport(section),
    ),
  );
  return [...groups, ...contents];
}

const nameOf = (section: Section, n: number) => firstOf(section, "mid") ?? String(n);

export const otherThan = (role: Role): Role => (role === "initiator" ? "responder" : "initiator");

function sendersOf({ attributes }: Section, role: Role): Senders {
  if (attributes.includes("sendonly")) return role;
  if (attributes.includes("recvonly")) return otherThan(role);
  return attributes.includes("inactive") ? "none" : "both";
}

function directionOf(senders: string | undefined, role: Role): string {
  if (senders === role) return "sendonly";
  if (senders === otherThan(role)) return "recvonly";
  return senders === "none" ? "inactive" : "sendrecv";
}

/** XEP-0167 with XEP-0293, XEP-0294 and XEP-0339. */
function rtpDescription(section: Section): Element {
  return xml(
    "description",
    { xmlns: ns.rtp, media: section.kind },
    ...section.formats.flatMap((id) => payloadType(section, id)),
    ...feedback(section, "*"),
    ...allOf(section, "extmap").map(headerExtension),
    firstOf(section, "extmap-allow-mixed") !== undefined &&
      xml("extmap-allow-mixed", { xmlns: ns.headerExtensions }),
    firstOf(section, "rtcp-mux") !== undefined && xml("rtcp-mux"),
    simulcast(section),
    ...sources(section),
  );
}

function payloadType(section: Section, id: string): Element[] {
  const map = allOf(section, "rtpmap")
    .map(cut)
    .find(([format]) => format === id)?.[1];
  if (map === undefined) return [];
  const [name, clockrate, channels] = map.split("/");
  const formats = allOf(section, "fmtp")
    .map(cut)
    .filter(([format]) => format === id);
  const parameters = formats.flatMap(([, text]) => text.split(";").map(parameter));
  return [
    xml("payload-type", { id, name, clockrate, channels }, ...parameters, ...feedback(section, id)),
  ];
}

function parameter(text: string): Element {
  const equals = text.indexOf("=");
  const name = equals < 0 ? "" : text.slice(0, equals).trim();
  return xml("parameter", { name, value: text.slice(equals + 1).trim() });
}

function feedback(section: Section, id: string): Element[] {
  const wanted = allOf(section, "rtcp-fb")
    .map(cut)
    .filter(([format]) => format === id);
  return wanted.map(([, text]) => {
    const [type, subtype] = cut(text);
    return xml("rtcp-fb", { xmlns: ns.rtcpFeedback, type, subtype: subtype || undefined });
  });
}

function headerExtension(text: string): Element {
  const [id, rest] = cut(text);
  const [uri] = cut(rest);
  return xml("rtp-hdrext", { xmlns: ns.headerExtensions, id: id.split("/")[0], uri });
}

/** The layers that are sent, the worst first (docs/protocols/calls.md). */
function simulcast(section: Section): Element | undefined {
  const [direction, layers] = cut(firstOf(section, "simulcast") ?? "");
  if (direction !== "send") return undefined;
  const rids = layers.split(" ")[0]?.split(";") ?? [];
  return xml(
    "simulcast",
    { xmlns: ns.welloCalls },
    ...rids.map((rid) => xml("layer", { rid: rid.replace(/^~/, "") })),
  );
}

function sources(section: Section): Element[] {
  const bySource = new Map<string, Element>();
  for (const [ssrc, text] of allOf(section, "ssrc").map(cut)) {
    const source = bySource.get(ssrc) ?? xml("source", { xmlns: ns.sources, ssrc });
    const colon = text.indexOf(":");
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? undefined : text.slice(colon + 1);
    source.append(xml("parameter", { name, value }));
    bySource.set(ssrc, source);
  }
  const groups = allOf(section, "ssrc-group")
    .map(cut)
    .map(([semantics, list]) =>
      xml(
        "ssrc-group",
        { xmlns: ns.sources, semantics },
        ...list.split(" ").map((ssrc) => xml("source", { ssrc })),
      ),
    );
  return [...bySource.values(), ...groups];
}

/** XEP-0176 with XEP-0320. */
function transport(section: Section): Element {
  const [hash, fingerprint] = cut(firstOf(section, "fingerprint") ?? "");
  const setup = firstOf(section, "setup") ?? "actpass";
  const candidates = allOf(section, "candidate").map((text) =>
    candidateElement(`candidate:${text}`),
  );
  return xml(
    "transport",
    {
      xmlns: ns.iceUdp,
      ufrag: firstOf(section, "ice-ufrag"),
      pwd: firstOf(section, "ice-pwd"),
    },
    fingerprint !== "" && xml("fingerprint", { xmlns: ns.dtls, hash, setup }, fingerprint),
    ...candidates,
  );
}

/**
 * The description by `role` that the children of `<jingle/>` say. An answer has the sections of the
 * `offer` in their order; those that it leaves out are refused.
 */
export function sdpFromJingle(jingle: Element, role: Role, offer?: Section[]): string {
  const groups = children(jingle, "group").map((group) => {
    const names = children(group, "content").map(({ attrs }) => attrs.name);
    return [`group:${group.attrs.semantics ?? "BUNDLE"}`, ...names].join(" ");
  });
  const contents = children(jingle, "content");
  const sections = offer
    ? offer.map((section, n) => {
        const name = nameOf(section, n);
        const content = contents.find(({ attrs }) => attrs.name === name);
        return content ? sectionFrom(content, role) : refused(section, name);
      })
    : contents.map((content) => sectionFrom(content, role));
  return writeSdp({ attributes: [...groups, "msid-semantic: WMS *"], sections });
}

/** RFC 3264, section 6. */
function refused({ kind, protocol, formats }: Section, name: string): Section {
  return { kind, protocol, formats, port: 0, attributes: [`mid:${name}`, "inactive"] };
}

function sectionFrom(content: Element, role: Role): Section {
  const description = children(content, "description")[0];
  const ice = children(content, "transport")[0];
  const payloads = children(description, "payload-type");
  return {
    kind: description?.attrs.media === "video" ? "video" : "audio",
    port: 9,
    protocol: "UDP/TLS/RTP/SAVPF",
    formats: payloads.map((payload) => payload.attrs.id ?? ""),
    attributes: [
      `mid:${content.attrs.name ?? ""}`,
      directionOf(content.attrs.senders, role),
      ...transportAttributes(ice),
      "rtcp-mux",
      "rtcp-rsize",
      ...children(description, "extmap-allow-mixed").map(() => "extmap-allow-mixed"),
      ...children(description, "rtp-hdrext").map(({ attrs }) => `extmap:${attrs.id} ${attrs.uri}`),
      ...payloads.flatMap(payloadAttributes),
      ...children(description, "rtcp-fb").map((one) => feedbackAttribute("*", one)),
      ...layerAttributes(description),
      ...sourceAttributes(description),
    ],
  };
}

function transportAttributes(ice: Element | undefined): string[] {
  const { ufrag, pwd } = ice?.attrs ?? {};
  const fingerprint = children(ice, "fingerprint")[0];
  return [
    ...(ufrag ? [`ice-ufrag:${ufrag}`, `ice-pwd:${pwd}`, "ice-options:trickle"] : []),
    ...(fingerprint
      ? [
          `fingerprint:${fingerprint.attrs.hash} ${fingerprint.text().trim()}`,
          `setup:${fingerprint.attrs.setup ?? "actpass"}`,
        ]
      : []),
    ...children(ice, "candidate").flatMap((candidate) => candidateLine(candidate) ?? []),
  ];
}

function payloadAttributes(payload: Element): string[] {
  const { id, name, clockrate, channels } = payload.attrs;
  const several = channels && channels !== "1" ? `/${channels}` : "";
  const parameters = children(payload, "parameter").map(({ attrs }) =>
    attrs.name ? `${attrs.name}=${attrs.value ?? ""}` : (attrs.value ?? ""),
  );
  return [
    `rtpmap:${id} ${name}/${clockrate}${several}`,
    ...(parameters.length > 0 ? [`fmtp:${id} ${parameters.join(";")}`] : []),
    ...children(payload, "rtcp-fb").map((one) => feedbackAttribute(id ?? "", one)),
  ];
}

function feedbackAttribute(id: string, { attrs }: Element): string {
  return `rtcp-fb:${id} ${attrs.type}${attrs.subtype ? ` ${attrs.subtype}` : ""}`;
}

/** Of an answer: the layers of ours that are taken. */
function layerAttributes(description: Element | undefined): string[] {
  const rids = children(children(description, "simulcast")[0], "layer").map(
    ({ attrs }) => attrs.rid,
  );
  if (rids.length === 0) return [];
  return [...rids.map((rid) => `rid:${rid} recv`), `simulcast:recv ${rids.join(";")}`];
}

function sourceAttributes(description: Element | undefined): string[] {
  const groups = children(description, "ssrc-group").map((group) => {
    const members = children(group, "source").map(({ attrs }) => attrs.ssrc);
    return [`ssrc-group:${group.attrs.semantics}`, ...members].join(" ");
  });
  const sources = children(description, "source").flatMap((source) =>
    children(source, "parameter").map(({ attrs }) => {
      const value = attrs.value === undefined ? "" : `:${attrs.value}`;
      return `ssrc:${source.attrs.ssrc} ${attrs.name}${value}`;
    }),
  );
  return [...groups, ...sources];
}
