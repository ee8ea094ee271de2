import { useEffect, useState } from "preact/hooks";

import { client } from "../app/client";
import { t } from "../app/i18n";
import { notify } from "../state/notices";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { IconButton } from "../ui/Button";
import { makeGuestLink, mayInviteGuests } from "../xmpp/guests";
import { GuestLinksDialog } from "./GuestLinksDialog";

/** For those whom the room lets make links for people without an account, and take them back. */
export function GuestLinkButtons({ room }: { room: string }) {
  const guest = useStore(account, (state) => state.guest);
  const [permitted, setPermitted] = useState(false);
  const [busy, setBusy] = useState(false);
  const [listed, setListed] = useState(false);
  useEffect(() => {
    if (guest) return;
    let asked = true;
    mayInviteGuests(client().session, room)
      .catch(() => false)
      .then((may) => asked && setPermitted(may));
    return () => {
      asked = false;
    };
  }, [room, guest]);
  if (!permitted) return null;
  const copy = async () => {
    setBusy(true);
    try {
      const link = await makeGuestLink(client().session, room);
      // Where the browser keeps its clipboard to itself, the link is shown.
      const copied = await navigator.clipboard.writeText(link).then(
        () => true,
        () => false,
      );
      notify(copied ? t("guest.copied") : link);
    } catch {
      notify(t("guest.noLink"), "error");
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <IconButton
        icon="userPlus"
        label={t("guest.copy")}
        class="hover:bg-gray-700"
        disabled={busy}
        onClick={() => void copy()}
      />
      <IconButton
        icon="link"
        label={t("guest.links")}
        class="hover:bg-gray-700"
        onClick={() => setListed(true)}
      />
      {listed && <GuestLinksDialog room={room} onClose={() => setListed(false)} />}
    </>
  );
}
