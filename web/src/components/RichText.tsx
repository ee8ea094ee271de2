import type { ComponentChildren } from "preact";

const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]']/g;

/** Text in which addresses of the web can be followed. */
export function RichText({ text }: { text: string }) {
  const parts: ComponentChildren[] = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(end, match.index));
    parts.push(
      <a
        href={match[0]}
        target="_blank"
        rel="noreferrer noopener"
        class="break-all text-link underline"
      >
        {match[0]}
      </a>,
    );
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return <>{parts}</>;
}
