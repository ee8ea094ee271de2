import { t } from "../app/i18n";
import { dismiss, notices } from "../state/notices";
import { useStore } from "../state/use";
import { IconButton } from "./Button";

/** The one place from which screen readers hear what happens elsewhere. */
export function Notices() {
  const shown = useStore(notices, (state) => state.shown);
  return (
    <div
      role="status"
      aria-live="polite"
      class="pointer-events-none fixed inset-x-0 bottom-24 z-50 flex flex-col items-center gap-2 px-4"
    >
      {shown.map(({ id, text, kind }) => (
        <div
          key={id}
          class={`pointer-events-auto flex max-w-lg items-center gap-2 rounded-xl border py-1 pr-1 pl-4 shadow-lg ${
            kind === "error" ? "border-danger bg-surface text-danger" : "border-line bg-surface"
          }`}
        >
          <span class="py-1">{text}</span>
          <IconButton icon="close" label={t("app.close")} onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
