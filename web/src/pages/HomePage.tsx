import { useEffect } from "preact/hooks";

import { open } from "../app/chat";
import { t } from "../app/i18n";

/** Beside the list, when no chat is open. */
export function HomePage() {
  useEffect(() => open(undefined), []);
  return (
    <div class="m-auto max-w-md p-8 text-center">
      <img src="/icon.svg" alt="" class="mx-auto mb-4 h-16 w-16" />
      <h1 class="mb-2 text-xl font-semibold">{t("home.title")}</h1>
      <p class="text-muted">{t("home.text")}</p>
    </div>
  );
}
