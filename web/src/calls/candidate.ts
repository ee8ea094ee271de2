import { type Element, xml } from "../xmpp/xml";

/** ICE candidates: a line of SDP (RFC 8839, section 5.1) and an element of XEP-0176. */

const PATTERN =
  /^(?:a=)?candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ (\S+)((?: \S+ \S+)*)\s*$/i;

let ids = 0;

/** Nothing if the line is no candidate, such as the empty one at the end. */
export function candidateElement(line: string): Element | undefined {
  const match = PATTERN.exec(line);
  if (!match) return undefined;
  const [, foundation, component, protocol = "", priority, ip, port, type, rest = ""] = match;
  const words = rest.trim().split(" ");
  const extra = new Map<string, string>();
  for (let n = 0; n + 1 < words.length; n += 2) extra.set(words[n] ?? "", words[n + 1] ?? "");
  ids += 1;
  return xml("candidate", {
    component,
    foundation,
    generation: extra.get("generation") ?? "0",
    id: `c${ids}`,
    ip,
    network: extra.get("network-id") ?? "0",
    port,
    priority,
    protocol: protocol.toLowerCase(),
    type,
    "rel-addr": extra.get("raddr"),
    "rel-port": extra.get("rport"),
    tcptype: extra.get("tcptype"),
  });
}

/** The line without "a=". */
export function candidateLine({ attrs }: Element): string | undefined {
  const { foundation = "0", component = "1", protocol, priority, ip, port, type } = attrs;
  const parts = [foundation, component, protocol, priority, ip, port, type];
  // Spaces would begin fields of their own.
  if (parts.some((part) => !part || /\s/.test(part))) return undefined;
  const optional = (name: string, value: string | undefined) =>
    value && !/\s/.test(value) ? ` ${name} ${value}` : "";
  return (
    `candidate:${foundation} ${component} ${protocol} ${priority} ${ip} ${port} typ ${type}` +
    optional("raddr", attrs["rel-addr"]) +
    optional("rport", attrs["rel-port"]) +
    optional("tcptype", attrs.tcptype) +
    optional("generation", attrs.generation)
  );
}
