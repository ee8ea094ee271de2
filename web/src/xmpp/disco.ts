import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, formValues, xml } from "./xml";

/** What an entity says of itself (XEP-0030). */
export interface DiscoInfo {
  identities: { category: string; type: string; name?: string }[];
  features: Set<string>;
  /** Extensions (XEP-0128) by their FORM_TYPE. */
  forms: Map<string, Map<string, string[]>>;
}

export async function discoInfo(session: Session, jid: string): Promise<DiscoInfo> {
  const query = await session.get(xml("query", { xmlns: ns.discoInfo }), jid);
  const forms = children(query, "x").map(formValues);
  return {
    identities: children(query, "identity").map(({ attrs }) => ({
      category: attrs.category ?? "",
      type: attrs.type ?? "",
      name: attrs.name,
    })),
    features: new Set(children(query, "feature").map((feature) => feature.attrs.var ?? "")),
    forms: new Map(forms.map((form) => [form.get("FORM_TYPE")?.[0] ?? "", form])),
  };
}

export async function discoItems(
  session: Session,
  jid: string,
  node?: string,
): Promise<{ jid: string; node?: string; name?: string }[]> {
  const query = await session.get(xml("query", { xmlns: ns.discoItems, node }), jid);
  return children(query, "item").map(({ attrs: { jid = "", node, name } }) => ({
    jid,
    node,
    name,
  }));
}

/** Services of the account's server that the client makes use of; what is absent is not offered. */
export interface Services {
  rooms?: string;
  upload?: { jid: string; maxBytes?: number };
  calls?: string;
  relays: boolean;
}

export async function findServices(session: Session): Promise<Services> {
  const [server, items] = await Promise.all([
    discoInfo(session, session.domain),
    discoItems(session, session.domain),
  ]);
  const services: Services = { relays: server.features.has(ns.extdisco) };
  const look = async ({ jid }: { jid: string }) => {
    const info = await discoInfo(session, jid);
    if (info.features.has(ns.muc)) services.rooms ??= jid;
    if (info.features.has(ns.conferences)) services.calls ??= jid;
    if (info.features.has(ns.upload)) {
      const limit = info.forms.get(ns.upload)?.get("max-file-size")?.[0];
      services.upload = { jid, maxBytes: limit === undefined ? undefined : Number(limit) };
    }
  };
  // A service that does not answer is not there.
  await Promise.allSettled(items.map(look));
  return services;
}

const IDENTITY = { category: "client", type: "web", name: "Wello" };

/** What others may know that this client does. */
const FEATURES = [
  ns.avatarMetadata.concat("+notify"),
  ns.bookmarks.concat("+notify"),
  ns.caps,
  ns.discoInfo,
  ns.dtls,
  ns.grouping,
  ns.headerExtensions,
  ns.iceUdp,
  ns.jingle,
  ns.jingleMessage,
  ns.markers,
  ns.oob,
  ns.ping,
  ns.receipts,
  ns.rtcpFeedback,
  ns.rtp,
  ns.rtpAudio,
  ns.rtpVideo,
  ns.sources,
  ns.stanzaIds,
].sort();

const NODE = "urn:wello:web";

/** The hash of what `answerDisco` says, for presence (XEP-0115, section 5). */
export async function caps(): Promise<Element> {
  const { category, type, name } = IDENTITY;
  const text = [`${category}/${type}//${name}`, ...FEATURES].map((part) => `${part}<`).join("");
  const hash = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  const ver = btoa(String.fromCharCode(...new Uint8Array(hash)));
  return xml("c", { xmlns: ns.caps, hash: "sha-1", node: NODE, ver });
}

/** Answers who asks what this client is. */
export function answerDisco(session: Session): void {
  session.answer("get", ns.discoInfo, "query", (query) =>
    xml(
      "query",
      { xmlns: ns.discoInfo, node: query.attrs.node },
      xml("identity", IDENTITY),
      ...FEATURES.map((feature) => xml("feature", { var: feature })),
    ),
  );
}
