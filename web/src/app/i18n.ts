import { createStore } from "zustand/vanilla";

import { useStore } from "../state/use";
import { en } from "./texts/en";
import { id } from "./texts/id";

export type Text = keyof typeof en;
export type Language = "en" | "id";

const TABLES: Record<Language, Record<Text, string>> = { en, id };
export const LANGUAGES: Record<Language, string> = { en: "English", id: "Bahasa Indonesia" };
const KEY = "wello.language";

export const language = createStore<{ language: Language }>(() => ({ language: preferred() }));

/** The text in the chosen language, with `{name}` replaced. */
export function t(text: Text, values: Record<string, string | number> = {}): string {
  const template = TABLES[language.getState().language][text];
  return template.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

/** Renders the component again when the language changes. */
export function useLanguage(): Language {
  return useStore(language, (state) => state.language);
}

export function chooseLanguage(chosen: Language): void {
  localStorage.setItem(KEY, chosen);
  language.setState({ language: chosen });
  document.documentElement.lang = chosen;
}

export function isText(key: string): key is Text {
  return key in en;
}

function preferred(): Language {
  const chosen = [localStorage.getItem(KEY), ...navigator.languages];
  for (const tag of chosen) {
    const short = tag?.slice(0, 2);
    if (short === "en" || short === "id") return short;
  }
  return "en";
}

const FORMATS = {
  time: { hour: "2-digit", minute: "2-digit" },
  day: { weekday: "long", day: "numeric", month: "long" },
  short: { day: "numeric", month: "short" },
} as const;

export function formatTime(time: number, format: keyof typeof FORMATS): string {
  return new Intl.DateTimeFormat(language.getState().language, FORMATS[format]).format(time);
}
