import { useEffect, useState } from "preact/hooks";

import { client } from "../app/client";
import { formatTime, t } from "../app/i18n";
import { notify } from "../state/notices";
import { Button } from "../ui/Button";
import { Dialog } from "../ui/Dialog";
import { type GuestLink, guestLinks, revokeGuestLink } from "../xmpp/guests";

/** The links by which people without an account come into a room, to be taken back. */
export function GuestLinksDialog({ room, onClose }: { room: string; onClose: () => void }) {
  const [links, setLinks] = useState<GuestLink[]>();
  useEffect(() => {
    guestLinks(client().session, room).then(setLinks, () => setLinks([]));
  }, [room]);
  const revoke = async ({ id }: GuestLink) => {
    try {
      await revokeGuestLink(client().session, room, id);
      setLinks((known) => known?.filter((link) => link.id !== id));
      notify(t("guest.revoked"));
    } catch {
      notify(t("guest.notRevoked"), "error");
    }
  };
  return (
    <Dialog title={t("guest.links")} onClose={onClose}>
      {links?.length === 0 && <p>{t("guest.noLinks")}</p>}
      <ul class="space-y-3">
        {links?.map((link) => (
          <li key={link.id} class="flex items-center justify-between gap-4">
            <span class="min-w-0 break-words">{described(link)}</span>
            <Button look="outline" class="shrink-0" onClick={() => void revoke(link)}>
              {t("guest.revoke")}
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function described({ expires, by }: GuestLink): string {
  const time = expires.getTime();
  const shown = `${formatTime(time, "short")}, ${formatTime(time, "time")}`;
  return t("guest.until", { time: shown, maker: by });
}
