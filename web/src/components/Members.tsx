import { t } from "../app/i18n";
import type { Room } from "../state/stores";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/Button";
import type { Occupant } from "../xmpp/rooms";

/** Who is in the room, beside the conversation or over it on narrow screens. */
export function Members({ room, onClose }: { room?: Room; onClose: () => void }) {
  const occupants = [...(room?.occupants.values() ?? [])].sort(
    (a, b) => rank(a) - rank(b) || a.nick.localeCompare(b.nick),
  );
  return (
    <aside
      aria-label={t("room.members")}
      class="absolute inset-0 flex flex-col border-line bg-surface md:static md:w-64 md:border-l"
    >
      <div class="flex items-center justify-between py-2 pr-2 pl-4">
        <h2 class="font-semibold">{t("room.members")}</h2>
        <IconButton icon="close" label={t("app.close")} onClick={onClose} />
      </div>
      <ul class="min-h-0 flex-1 overflow-y-auto px-4 pb-4">
        {occupants.map((occupant) => (
          <li key={occupant.nick} class="flex items-center gap-3 py-1.5">
            <Avatar
              name={occupant.nick}
              seed={occupant.nick}
              size="small"
              presence={occupant.availability}
            />
            <span class="min-w-0 flex-1">
              <span class="block truncate">
                {occupant.nick}
                {occupant.nick === room?.nick && ` (${t("chat.you")})`}
              </span>
              {label(occupant) && <span class="block text-sm text-muted">{label(occupant)}</span>}
            </span>
          </li>
        ))}
      </ul>
    </aside>
  );
}

function rank({ affiliation, role }: Occupant): number {
  if (affiliation === "owner") return 0;
  return role === "moderator" ? 1 : 2;
}

function label({ affiliation, role }: Occupant): string | undefined {
  if (affiliation === "owner") return t("room.owner");
  return role === "moderator" ? t("room.moderator") : undefined;
}
