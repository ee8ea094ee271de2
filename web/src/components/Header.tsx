import type { ComponentChildren } from "preact";

import { t } from "../app/i18n";
import { routes } from "../app/routes";
import { Icon } from "../ui/Icon";

/** Above a conversation or page. It leads back to the list where that is not beside it, or to `back`. */
export function Header({
  title,
  detail,
  avatar,
  back,
  children,
}: {
  title: string;
  detail?: string;
  avatar?: ComponentChildren;
  back?: string;
  children?: ComponentChildren;
}) {
  return (
    <header class="flex min-h-16 items-center gap-3 border-b border-line px-3 md:px-4">
      <a
        href={back ?? routes.home}
        aria-label={t("app.back")}
        class={`inline-flex h-10 w-10 shrink-0 items-center justify-center rounded-full hover:bg-hover ${back ? "" : "md:hidden"}`}
      >
        <Icon name="back" />
      </a>
      {avatar}
      <div class="min-w-0 flex-1">
        <h1 class="truncate font-semibold">{title}</h1>
        {detail && <p class="truncate text-sm text-muted">{detail}</p>}
      </div>
      <div class="flex items-center">{children}</div>
    </header>
  );
}
