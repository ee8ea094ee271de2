import { t } from "../app/i18n";
import { account } from "../state/stores";
import { useStore } from "../state/use";

/** While the way to the server is lost. */
export function ConnectionBanner() {
  const waiting = useStore(account, ({ state }) => state === "waiting");
  if (!waiting) return null;
  return (
    <p role="status" class="bg-warning-surface px-4 py-1 text-center text-warning">
      {t("app.waiting")}
    </p>
  );
}
