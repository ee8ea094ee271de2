import { bare } from "../xmpp/jid";
import { ns } from "../xmpp/ns";
import { children, type Element, xml } from "../xmpp/xml";
import type { Media, Name, Word } from "./invitation";

/** Messages of XEP-0353, written and read. */

export function buildWord(to: string, name: Name, id: string, ...content: Element[]): Element {
  return xml(
    "message",
    { to, type: "chat" },
    xml(name, { xmlns: ns.jingleMessage, id }, ...content),
    xml("store", { xmlns: ns.hints }),
  );
}

export function buildPropose(to: string, id: string, media: Media): Element {
  const kinds: Media[] = media === "video" ? ["audio", "video"] : ["audio"];
  const descriptions = kinds.map((kind) => xml("description", { xmlns: ns.rtp, media: kind }));
  return buildWord(to, "propose", id, ...descriptions);
}

/** XEP-0166, section 7.4. */
export function reason(condition: string): Element {
  return xml("reason", { xmlns: ns.jingle }, xml(condition));
}

export function parseWord(element: Element, from: string, account: string): Word {
  const conditions = children(children(element, "reason")[0], "busy");
  return {
    name: element.name as Name,
    id: element.attrs.id ?? "",
    from,
    own: bare(from) === account,
    tieBreak: children(element, "tie-break").length > 0,
    busy: conditions.length > 0,
  };
}

/** What a call is proposed to be made of; nothing if it is none that can be seen or heard. */
export function mediaOf(propose: Element): Media | undefined {
  const rtp = children(propose, "description").filter((one) => one.getNS() === ns.rtp);
  const kinds = rtp.map(({ attrs }) => attrs.media);
  if (kinds.includes("video")) return "video";
  return kinds.includes("audio") ? "audio" : undefined;
}
