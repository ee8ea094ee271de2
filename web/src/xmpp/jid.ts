/** Addresses (RFC 7622) as the strings that the server normalised. */

export function bare(jid: string): string {
  const slash = jid.indexOf("/");
  return slash < 0 ? jid : jid.slice(0, slash);
}

export function resource(jid: string): string {
  const slash = jid.indexOf("/");
  return slash < 0 ? "" : jid.slice(slash + 1);
}

export function local(jid: string): string {
  const at = bare(jid).indexOf("@");
  return at < 0 ? "" : jid.slice(0, at);
}

export function domain(jid: string): string {
  const address = bare(jid);
  return address.slice(address.indexOf("@") + 1);
}

/** What somebody typed, as a bare address; nothing if it cannot be one. */
export function parseAddress(text: string, defaultDomain?: string): string | undefined {
  const typed = bare(text.trim().replace(/^xmpp:/, ""));
  const whole =
    !typed.includes("@") && defaultDomain && typed ? `${typed}@${defaultDomain}` : typed;
  return /^[^\s@"&'/:<>]+@[^\s@/:<>]+$/.test(whole) ? whole.toLowerCase() : undefined;
}
