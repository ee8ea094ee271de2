/** Drawn on 24 × 24 with a line of 2. */
const PATHS = {
  back: "M15 5l-7 7 7 7",
  camera: "M3 7h11v10H3zM14 11l7-4v10l-7-4",
  cameraOff: "M3 7h11v10H3zM14 11l7-4v10l-7-4M3 3l18 18",
  chat: "M4 5h16v11H9l-5 4z",
  check: "M5 13l4 4 10-10",
  checks: "M2 13l4 4 9-10M11 16l1.5 1.5L22 7",
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.5 3.5 0 0 1 5 5l-8 8a2 2 0 0 1-3-3l7-7",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3 3",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6M12 2v4M12 18v4M2 12h4M18 12h4M5 5l3 3M16 16l3 3M5 19l3-3M16 8l3-3",
  grid: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  focus: "M4 4h16v11H4zM4 18h4v2H4zM10 18h4v2h-4zM16 18h4v2h-4z",
  hangUp: "M3 14c0-6 18-6 18 0v2.5l-5-1V13c-3-1-5-1-8 0v2.5l-5 1z",
  leave: "M10 4H4v16h6M9 12h11M16 8l4 4-4 4",
  link: "M10 14a4 4 0 0 0 6 0l4-4a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-4 4a4 4 0 0 0 6 6l1-1",
  microphone: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M5 11a7 7 0 0 0 14 0M12 18v3",
  microphoneOff:
    "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M5 11a7 7 0 0 0 14 0M12 18v3M3 3l18 18",
  people:
    "M9 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M2 20c0-8 14-8 14 0M16 5a3.5 3.5 0 0 1 0 7M18 14c3 1 4 3 4 6",
  phone: "M5 3h4l2 5-3 2a12 12 0 0 0 6 6l2-3 5 2v4c0 1-1 2-2 2C10 20 4 13 3 5c0-1 1-2 2-2",
  plus: "M12 5v14M5 12h14",
  room: "M4 9h16M4 15h16M10 4L8 20M16 4l-2 16",
  screen: "M3 4h18v12H3zM8 20h8M12 16v4",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5",
  send: "M4 12l16-8-6 16-3-7z",
  speaker: "M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6",
  userMinus: "M9 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M2 20c0-8 14-8 14 0M16 10h6",
  userPlus: "M9 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M2 20c0-8 14-8 14 0M19 7v6M16 10h6",
  warning: "M12 3l10 17H2zM12 10v4M12 17v.5",
} as const;

export type IconName = keyof typeof PATHS;

/** An ornament: what it means is said by the text or label beside it. */
export function Icon({ name, class: extra = "h-5 w-5" }: { name: IconName; class?: string }) {
  return (
    <svg
      viewBox="0 0 24 24"
      class={`shrink-0 ${extra}`}
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
