import { useEffect, useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";

import { open } from "../app/chat";
import { t } from "../app/i18n";
import { leave, rejoin } from "../app/rooms";
import { meetingPath, routes } from "../app/routes";
import { Composer } from "../components/Composer";
import { Header } from "../components/Header";
import { Members } from "../components/Members";
import { MessageList } from "../components/MessageList";
import { explainRoom, InviteDialog } from "../components/RoomDialogs";
import { account, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Button, IconButton } from "../ui/Button";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { local } from "../xmpp/jid";

type Open = "members" | "invite" | "leave" | undefined;

export function RoomPage() {
  const { params } = useRoute();
  const { route } = useLocation();
  const jid = decodeURIComponent(params.address ?? "");
  const room = useStore(rooms, (state) => state.rooms.get(jid));
  const hasCalls = useStore(account, ({ services }) => services.calls !== undefined);
  const [shown, show] = useState<Open>();
  useEffect(() => open(jid), [jid]);

  const name = room?.name ?? local(jid);
  const inside = room?.state === "in";
  const count = room?.occupants.size ?? 0;
  const detail = inside ? room.subject || t("room.here", { count }) : undefined;
  return (
    <>
      <Header title={name} detail={detail}>
        {inside && hasCalls && (
          <IconButton
            icon="camera"
            label={t("room.call")}
            onClick={() => route(meetingPath(local(jid)))}
          />
        )}
        {inside && (
          <IconButton icon="userPlus" label={t("room.invite")} onClick={() => show("invite")} />
        )}
        <IconButton
          icon="people"
          label={t("room.members")}
          pressed={shown === "members"}
          onClick={() => show(shown === "members" ? undefined : "members")}
        />
        <IconButton icon="leave" label={t("room.leave")} onClick={() => show("leave")} />
      </Header>
      <div class="relative flex min-h-0 flex-1">
        <div class="flex min-w-0 flex-1 flex-col">
          <MessageList key={jid} jid={jid} />
          {inside ? (
            <Composer key={`to ${jid}`} jid={jid} name={name} />
          ) : (
            <Outside jid={jid} entering={room?.state === "entering"} reason={room?.reason} />
          )}
        </div>
        {shown === "members" && <Members room={room} onClose={() => show(undefined)} />}
      </div>
      {shown === "invite" && <InviteDialog room={jid} onClose={() => show(undefined)} />}
      {shown === "leave" && (
        <Dialog title={t("room.leave")} onClose={() => show(undefined)}>
          <p class="mb-5">{t("room.leaveAsk", { name })}</p>
          <Button
            look="danger"
            onClick={() => {
              show(undefined);
              void leave(jid);
              route(routes.home);
            }}
          >
            {t("room.leave")}
          </Button>
        </Dialog>
      )}
    </>
  );
}

function Outside({ jid, entering, reason }: { jid: string; entering: boolean; reason?: string }) {
  return (
    <div class="flex flex-wrap items-center gap-3 border-t border-line p-4" role="status">
      {entering ? (
        t("room.entering")
      ) : (
        <>
          <Icon name="warning" />
          <span class="flex-1">{reason ? explainRoom(reason) : t("room.outside")}</span>
          <Button onClick={() => void rejoin(jid).catch(() => {})}>{t("room.rejoin")}</Button>
        </>
      )}
    </div>
  );
}
