import { useLocation } from "preact-iso";

import { answerRequest } from "../app/contacts";
import { t } from "../app/i18n";
import { dismissInvitation, join } from "../app/rooms";
import { roomPath } from "../app/routes";
import { notify } from "../state/notices";
import { people, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { explainRoom } from "./RoomDialogs";

/** What others ask of us. */
export function Requests() {
  const requests = useStore(people, (state) => state.requests);
  const invitations = useStore(rooms, (state) => state.invitations);
  const { route } = useLocation();
  const enter = (room: string, password?: string) => {
    join(room, password).then(
      () => route(roomPath(room)),
      (error: Error) => notify(explainRoom(error.message), "error"),
    );
  };
  return (
    <>
      {[...requests].map((jid) => (
        <Ask
          key={jid}
          text={t("contact.request", { name: jid })}
          accept={t("contact.accept")}
          onAccept={() => void answerRequest(jid, true)}
          onDecline={() => void answerRequest(jid, false)}
        />
      ))}
      {[...invitations.values()].map(({ room, from, password }) => (
        <Ask
          key={room}
          text={t("room.invitation", { from, room: room.split("@")[0] ?? room })}
          accept={t("room.join")}
          onAccept={() => enter(room, password)}
          onDecline={() => dismissInvitation(room)}
        />
      ))}
    </>
  );
}

function Ask({
  text,
  accept,
  onAccept,
  onDecline,
}: {
  text: string;
  accept: string;
  onAccept: () => void;
  onDecline: () => void;
}) {
  return (
    <div role="alert" class="mb-2 rounded-xl border border-line bg-surface p-3">
      <p class="mb-2 break-words">{text}</p>
      <div class="flex gap-2">
        <Button onClick={onAccept}>{accept}</Button>
        <Button look="outline" onClick={onDecline}>
          {t("contact.decline")}
        </Button>
      </div>
    </div>
  );
}
