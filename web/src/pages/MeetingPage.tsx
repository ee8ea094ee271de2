import { useEffect, useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";

import { open } from "../app/chat";
import { t } from "../app/i18n";
import * as roomsApp from "../app/rooms";
import { roomPath, routes } from "../app/routes";
import { join, leave } from "../calls/conference";
import type { LocalMedia } from "../calls/media";
import { Header } from "../components/Header";
import { Lobby } from "../components/Lobby";
import { MeetingStage } from "../components/MeetingStage";
import { explainFailure, explainRoom } from "../components/RoomDialogs";
import { meeting } from "../state/meeting";
import { account, rooms } from "../state/stores";
import { useStore } from "../state/use";

/** The conference of a room: first a look at oneself, then the others. */
export function MeetingPage() {
  const { params } = useRoute();
  const { route } = useLocation();
  const name = decodeURIComponent(params.room ?? "");
  const services = useStore(account, (state) => state.services);
  const phase = useStore(meeting, (state) => state.phase);
  const reason = useStore(meeting, (state) => state.reason);
  const jid = services.rooms ? `${name}@${services.rooms}` : undefined;
  const room = useStore(rooms, (state) => (jid ? state.rooms.get(jid) : undefined));
  const [error, setError] = useState<string>();
  useEffect(() => {
    if (jid) open(jid);
    return () => leave();
  }, [jid]);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (phase === "failed") setRound((before) => before + 1);
  }, [phase]);
  if (!jid || !services.calls) {
    return (
      <>
        <Header title={t("meet.title", { name })} back={routes.home} />
        <p class="m-auto p-8 text-muted">{t("meet.none")}</p>
      </>
    );
  }
  if (phase === "in" || phase === "reconnecting") {
    const onLeave = () => {
      leave();
      route(roomPath(jid));
    };
    return <MeetingStage room={jid} onLeave={onLeave} />;
  }
  const enter = async (media: LocalMedia) => {
    setError(undefined);
    try {
      if (room?.state !== "in") await roomsApp.join(jid);
    } catch (failure) {
      setError(explainFailure(failure));
      return false;
    }
    await join(jid, media);
    return true;
  };
  const wrong = error ?? (reason && (reason === "none" ? t("meet.none") : explainRoom(reason)));
  return (
    <>
      <Header title={t("meet.title", { name: room?.name ?? name })} back={roomPath(jid)} />
      {/* Who was put out finds the devices closed and begins anew. */}
      <Lobby key={round} busy={phase === "joining"} wrong={wrong} onJoin={enter} />
    </>
  );
}
