import { useEffect, useMemo, useState } from "preact/hooks";

import { open } from "../app/chat";
import { quit } from "../app/client";
import * as guests from "../app/guests";
import { isText, t } from "../app/i18n";
import { join, leave } from "../calls/conference";
import type { LocalMedia } from "../calls/media";
import { Lobby } from "../components/Lobby";
import { MeetingStage } from "../components/MeetingStage";
import { explainFailure, explainRoom } from "../components/RoomDialogs";
import { meeting } from "../state/meeting";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { Field } from "../ui/Field";

// As much as every room takes.
const LONGEST_NAME = 60;

/** What a guest link leads to: a name, a look at oneself, then the conference, and a farewell. */
export function GuestPage() {
  const { room, token } = useMemo(linkOf, []);
  const phase = useStore(meeting, (state) => state.phase);
  const reason = useStore(meeting, (state) => state.reason);
  const online = useStore(account, ({ state }) => state === "online" || state === "waiting");
  const [name, setName] = useState(guests.guestName());
  const [wrong, setWrong] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [stage, setStage] = useState<"lobby" | "inside" | "left">("lobby");
  const isIn = phase === "in" || phase === "reconnecting";
  useEffect(() => {
    // Else the others would see somebody who is gone until the server gives them up.
    const goAway = () => void quit();
    addEventListener("pagehide", goAway);
    return () => {
      removeEventListener("pagehide", goAway);
      leave();
    };
  }, []);
  useEffect(() => {
    if (isIn) open(room);
  }, [isIn, room]);
  useEffect(() => {
    // Put out, or the link is over.
    if (stage === "inside" && !online) setStage("left");
  }, [stage, online]);

  const enter = async (media: LocalMedia) => {
    const nick = name.trim();
    if (!nick) {
      setWrong(t("guest.nameMissing"));
      return false;
    }
    setWrong(undefined);
    setBusy(true);
    try {
      await guests.enter(room, token, nick);
    } catch (failure) {
      setWrong(explain(failure));
      return false;
    } finally {
      setBusy(false);
    }
    setStage("inside");
    await join(room, media);
    return true;
  };
  const goodbye = () => {
    setStage("left");
    leave();
    void guests.leave();
  };
  if (stage === "left") return <Farewell onBack={() => setStage("lobby")} />;
  if (isIn) {
    return (
      <main class="flex h-full flex-col">
        <MeetingStage room={room} onLeave={goodbye} />
      </main>
    );
  }
  return (
    <main class="flex h-full flex-col">
      <h1 class="border-b border-line px-6 py-4 text-xl font-semibold">{t("guest.title")}</h1>
      <Lobby
        busy={busy || phase === "joining"}
        wrong={wrong ?? (phase === "failed" ? explainRoom(reason ?? "") : undefined)}
        onJoin={enter}
      >
        <Field
          label={t("guest.name")}
          hint={t("guest.nameHint")}
          value={name}
          onInput={(text) => setName(text.slice(0, LONGEST_NAME))}
          autocomplete="name"
          required
        />
      </Lobby>
    </main>
  );
}

function Farewell({ onBack }: { onBack: () => void }) {
  return (
    <main class="m-auto max-w-md space-y-5 p-8 text-center">
      <img src="/icon.svg" alt="" class="mx-auto h-16 w-16" />
      <div role="status">
        <h1 class="text-xl font-semibold">{t("guest.left")}</h1>
      </div>
      <Button class="w-full" onClick={onBack}>
        {t("guest.again")}
      </Button>
    </main>
  );
}

/** The room, and what is known to those alone who have the link. */
function linkOf(): { room: string; token: string } {
  const [, , room = ""] = location.pathname.split("/");
  return { room: decodeURIComponent(room), token: location.hash.slice(1) };
}

function explain(failure: unknown): string {
  const key = `guest.error.${(failure as Error).message}`;
  return isText(key) ? t(key) : explainFailure(failure);
}
