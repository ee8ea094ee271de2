import type { Availability } from "../xmpp/presence";

// Each dark enough for white letters (5:1 and more).
const COLOURS = [
  "#15803d",
  "#1d4ed8",
  "#7e22ce",
  "#be123c",
  "#9a3412",
  "#0f766e",
  "#4338ca",
  "#854d0e",
];

const SIZES = {
  small: "h-8 w-8 text-xs",
  medium: "h-11 w-11 text-base",
  large: "h-28 w-28 text-4xl",
};

const DOTS: Record<Availability, string> = {
  online: "bg-green-600",
  chat: "bg-green-600",
  away: "bg-amber-500",
  xa: "bg-amber-500",
  dnd: "bg-red-600",
  offline: "bg-gray-400",
};

/** An ornament beside the name. */
export function Avatar({
  name,
  seed = name,
  picture,
  size = "medium",
  presence,
}: {
  name: string;
  seed?: string;
  picture?: string;
  size?: keyof typeof SIZES;
  presence?: Availability;
}) {
  return (
    <span class="relative inline-block shrink-0" aria-hidden="true">
      {picture ? (
        <img src={picture} alt="" class={`rounded-full object-cover ${SIZES[size]}`} />
      ) : (
        <span
          class={`flex items-center justify-center rounded-full font-semibold text-white ${SIZES[size]}`}
          style={{ background: colourOf(seed) }}
        >
          {initials(name)}
        </span>
      )}
      {presence && (
        <span
          class={`absolute right-0 bottom-0 h-3 w-3 rounded-full border-2 border-surface ${DOTS[presence]}`}
        />
      )}
    </span>
  );
}

export function colourOf(seed: string): string {
  let sum = 0;
  for (const char of seed) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return COLOURS[sum % COLOURS.length] ?? "#15803d";
}

export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const first = (word: string | undefined) =>
    word ? String.fromCodePoint(word.codePointAt(0) ?? 0) : "";
  const second = words.length > 1 ? first(words.at(-1)) : "";
  return (first(words[0]) + second).toUpperCase() || "?";
}
