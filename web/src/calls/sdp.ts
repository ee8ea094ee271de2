/** Session descriptions (RFC 8866) as far as WebRTC uses them, taken apart and put together. */

export interface Section {
  kind: string;
  port: number;
  protocol: string;
  formats: string[];
  /** What stands behind "a=". */
  attributes: string[];
}

export interface Description {
  attributes: string[];
  sections: Section[];
}

export function parseSdp(text: string): Description {
  const description: Description = { attributes: [], sections: [] };
  for (const line of text.split(/\r?\n/)) {
    const value = line.slice(2);
    if (line.startsWith("m=")) {
      const [kind = "", port = "0", protocol = "", ...formats] = value.split(" ");
      const section = { kind, port: Number(port), protocol, formats, attributes: [] };
      description.sections.push(section);
    } else if (line.startsWith("a=")) {
      (description.sections.at(-1) ?? description).attributes.push(value);
    }
  }
  return description;
}

export function writeSdp({ attributes, sections }: Description): string {
  const lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", ...attributes.map(attribute)];
  for (const section of sections) {
    const { kind, port, protocol, formats } = section;
    lines.push(`m=${kind} ${port} ${protocol} ${formats.join(" ")}`, "c=IN IP4 0.0.0.0");
    lines.push(...section.attributes.map(attribute));
  }
  return lines.map((line) => `${line}\r\n`).join("");
}

// What came from another client must not become a line of its own.
const attribute = (text: string) => `a=${text.replace(/[\r\n]/g, "")}`;

/** The values of all attributes of the name. */
export function allOf({ attributes }: { attributes: string[] }, name: string): string[] {
  return attributes.flatMap((text) => {
    if (text === name) return [""];
    return text.startsWith(`${name}:`) ? [text.slice(name.length + 1)] : [];
  });
}

export function firstOf(part: { attributes: string[] }, name: string): string | undefined {
  return allOf(part, name)[0];
}

/** The text up to the first space, and what follows it. */
export function cut(text: string): [string, string] {
  const space = text.indexOf(" ");
  return space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
}
