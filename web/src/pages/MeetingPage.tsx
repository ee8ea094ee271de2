import { useEffect, useMemo, useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";

import { open } from "../app/chat";
import { t } from "../app/i18n";
import * as roomsApp from "../app/rooms";
import { roomPath, routes } from "../app/routes";
import { join, leave } from "../calls/conference";
import { LocalMedia } from "../calls/media";
import { DeviceChoice } from "../components/DeviceChoice";
import { Header } from "../components/Header";
import { MeetingStage } from "../components/MeetingStage";
import { explainRoom } from "../components/RoomDialogs";
import { Video } from "../components/Video";
import { meeting } from "../state/meeting";
import { account, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { Checkbox } from "../ui/Field";
import { Icon } from "../ui/Icon";

/** The conference of a room: first a look at oneself, then the others. */
export function MeetingPage() {
  const { params } = useRoute();
  const { route } = useLocation();
  const name = decodeURIComponent(params.room ?? "");
  const services = useStore(account, (state) => state.services);
  const phase = useStore(meeting, (state) => state.phase);
  const reason = useStore(meeting, (state) => state.reason);
  const jid = services.rooms ? `${name}@${services.rooms}` : undefined;
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
  // Who was put out finds the devices closed and begins anew.
  return <Lobby key={round} jid={jid} name={name} busy={phase === "joining"} reason={reason} />;
}

function Lobby({
  jid,
  name,
  busy,
  reason,
}: {
  jid: string;
  name: string;
  busy: boolean;
  reason?: string;
}) {
  const room = useStore(rooms, (state) => state.rooms.get(jid));
  const [error, setError] = useState<string>();
  const media = useMemo(() => new LocalMedia(), []);
  const [sending, setSending] = useState(media.sending);
  const [picture, setPicture] = useState<MediaStreamTrack>();
  // The conference takes it over; else it is closed with this page.
  const kept = useMemo(() => ({ taken: false }), []);
  useEffect(() => {
    media.onChange = () => {
      setSending(media.sending);
      setPicture(media.video);
    };
    void media.open(true);
    return () => {
      if (!kept.taken) media.close();
    };
  }, [media, kept]);
  const enter = async () => {
    setError(undefined);
    try {
      if (room?.state !== "in") await roomsApp.join(jid);
      kept.taken = true;
      await join(jid, media);
    } catch (failure) {
      const { condition, message } = failure as { condition?: string; message: string };
      setError(explainRoom(condition ?? message));
    }
  };
  const wrong = error ?? (reason && (reason === "none" ? t("meet.none") : explainRoom(reason)));
  return (
    <>
      <Header title={t("meet.title", { name: room?.name ?? name })} back={roomPath(jid)} />
      <div class="min-h-0 flex-1 overflow-y-auto">
        <div class="mx-auto max-w-xl space-y-5 p-6">
          <div class="flex aspect-video items-center justify-center overflow-hidden rounded-2xl bg-gray-900 text-white">
            {picture ? (
              <Video
                track={picture}
                muted
                mirrored
                label={t("meet.preview")}
                class="h-full w-full object-cover"
              />
            ) : (
              <span class="flex flex-col items-center gap-2">
                <Icon name="cameraOff" class="h-10 w-10" />
                {t("call.cameraIsOff")}
              </span>
            )}
          </div>
          <Checkbox
            checked={sending.microphone}
            onChange={(on) => void media.setMicrophone(on).catch(() => {})}
          >
            {t("meet.withMicrophone")}
          </Checkbox>
          <Checkbox
            checked={sending.camera}
            onChange={(on) => void media.setCamera(on).catch(() => {})}
          >
            {t("meet.withCamera")}
          </Checkbox>
          <div role="alert">{wrong && !busy && <p class="text-danger">{wrong}</p>}</div>
          <Button icon="camera" class="w-full" disabled={busy} onClick={() => void enter()}>
            {busy ? t("call.connecting") : t("meet.join")}
          </Button>
          <details>
            <summary class="min-h-8 cursor-pointer font-medium">{t("call.devices")}</summary>
            <div class="pt-3">
              <DeviceChoice onChange={() => void media.reopen()} />
            </div>
          </details>
        </div>
      </div>
    </>
  );
}
