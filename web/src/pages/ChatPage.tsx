import { useEffect, useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";

import { open } from "../app/chat";
import { nameOf, presenceOf, remove } from "../app/contacts";
import { t } from "../app/i18n";
import { routes } from "../app/routes";
import { start } from "../calls/manager";
import { Composer } from "../components/Composer";
import { Header } from "../components/Header";
import { MessageList } from "../components/MessageList";
import { calls } from "../state/calls";
import { people } from "../state/stores";
import { useStore } from "../state/use";
import { Avatar } from "../ui/Avatar";
import { Button, IconButton } from "../ui/Button";
import { Dialog } from "../ui/Dialog";

export function ChatPage() {
  const { params } = useRoute();
  const { route } = useLocation();
  const jid = decodeURIComponent(params.address ?? "");
  const contact = useStore(people, ({ contacts }) => contacts.get(jid));
  const picture = useStore(people, ({ avatars }) => avatars.get(jid));
  const presence = useStore(people, (state) => presenceOf(jid, state.presence));
  const busy = useStore(calls, ({ view }) => view !== undefined && view.call.phase !== "ended");
  const [asking, setAsking] = useState(false);
  useEffect(() => open(jid), [jid]);

  const name = nameOf(jid);
  const availability = presence?.availability ?? "offline";
  const status = presence?.status || t(`presence.${availability}`);
  const call = (media: "audio" | "video") => void start(jid, media);
  return (
    <>
      <Header
        title={name}
        detail={contact?.asked ? t("contact.pending") : status}
        avatar={<Avatar name={name} seed={jid} picture={picture} presence={availability} />}
      >
        <IconButton
          icon="phone"
          label={t("call.audio")}
          disabled={busy}
          onClick={() => call("audio")}
        />
        <IconButton
          icon="camera"
          label={t("call.video")}
          disabled={busy}
          onClick={() => call("video")}
        />
        {contact && (
          <IconButton
            icon="userMinus"
            label={t("contact.remove")}
            onClick={() => setAsking(true)}
          />
        )}
      </Header>
      <MessageList key={jid} jid={jid} />
      <Composer key={`to ${jid}`} jid={jid} name={name} />
      {asking && (
        <Dialog title={t("contact.remove")} onClose={() => setAsking(false)}>
          <p class="mb-5">{t("contact.removeAsk", { name })}</p>
          <Button
            look="danger"
            onClick={() => {
              setAsking(false);
              void remove(jid);
              route(routes.home);
            }}
          >
            {t("contact.remove")}
          </Button>
        </Dialog>
      )}
    </>
  );
}
