import { ns } from "./ns";
import type { Session } from "./session";
import { children, type Element, xml } from "./xml";

/** What RTCPeerConnection is given of the STUN and TURN servers (XEP-0215). */
export async function fetchIceServers(session: Session): Promise<RTCIceServer[]> {
  const answer = await session.get(xml("services", { xmlns: ns.extdisco }), session.domain);
  return children(answer, "service").flatMap(iceServer);
}

export function iceServer(service: Element): RTCIceServer[] {
  const { type = "", host, port, transport, username, password } = service.attrs;
  if (!host || !["stun", "stuns", "turn", "turns"].includes(type)) return [];
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const address = `${type}:${name}${port ? `:${port}` : ""}`;
  // RFC 7064: addresses of STUN servers have no transport.
  if (type.startsWith("stun")) return [{ urls: address }];
  // Chromium refuses a TURN server without these.
  if (!username || !password) return [];
  const urls = transport ? `${address}?transport=${transport.toLowerCase()}` : address;
  return [{ urls, username, credential: password }];
}
