import { resource } from "../xmpp/jid";
import { ns } from "../xmpp/ns";
import { children, type Element } from "../xmpp/xml";

/** Somebody in a conference (RFC 4575 as XEP-0298 carries it). */
export interface Person {
  nick: string;
  microphone: boolean;
  camera: boolean;
}

/** The participants of a whole document; nothing if it is not whole. */
export function parseRoster(info: Element): Person[] | undefined {
  if (info.getNS() !== ns.conferenceInfo || (info.attrs.state ?? "full") !== "full")
    return undefined;
  const users = children(children(info, "users")[0], "user");
  return users.flatMap((user) => children(user, "endpoint").map(parseEndpoint));
}

function parseEndpoint(endpoint: Element): Person {
  // Screens are named by what they show, and are no cameras.
  const media = children(endpoint, "media").filter(
    (one) => children(one, "display-text")[0]?.text() !== "slides",
  );
  const sends = (type: string) =>
    media.some((one) => {
      const status = children(one, "status")[0]?.text();
      return children(one, "type")[0]?.text() === type && status?.startsWith("send");
    });
  return {
    nick: resource(endpoint.attrs.entity ?? ""),
    microphone: sends("audio"),
    camera: sends("video"),
  };
}
