import { useEffect, useState } from "preact/hooks";

import { nameOf } from "../app/contacts";
import { t } from "../app/i18n";
import { accept, decline, dismiss } from "../calls/manager";
import { type CallView, calls } from "../state/calls";
import { people } from "../state/stores";
import { useStore } from "../state/use";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Icon } from "../ui/Icon";
import { CallControls } from "./CallControls";
import { Video } from "./Video";

// How long the end of a call stays on the screen.
const FAREWELL_MILLISECONDS = 2_500;

/** The call between two, in front of whatever page there is. */
export function CallLayer() {
  const view = useStore(calls, (state) => state.view);
  const ended = view?.call.phase === "ended";
  useEffect(() => {
    if (!ended) return;
    const timer = setTimeout(dismiss, FAREWELL_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [ended]);
  if (!view) return null;
  return view.call.phase === "incoming" ? <Incoming view={view} /> : <CallScreen view={view} />;
}

function Incoming({ view: { call } }: { view: CallView }) {
  const name = nameOf(call.peer);
  const picture = useStore(people, ({ avatars }) => avatars.get(call.peer));
  const text = t(call.media === "video" ? "call.incomingVideo" : "call.incomingAudio", { name });
  return (
    <div
      role="alertdialog"
      aria-modal="true"
      aria-labelledby="incoming-call"
      class="fixed inset-0 z-40 flex items-center justify-center bg-black/60 p-4"
    >
      <div class="w-full max-w-sm rounded-3xl bg-surface p-8 text-center shadow-2xl">
        <Avatar name={name} seed={call.peer} picture={picture} size="large" />
        <h2 id="incoming-call" class="mt-4 mb-6 text-xl font-semibold">
          {text}
        </h2>
        <div class="flex justify-center gap-3">
          <Button look="danger" icon="hangUp" onClick={decline}>
            {t("call.decline")}
          </Button>
          <AcceptButton />
        </div>
      </div>
    </div>
  );
}

function AcceptButton() {
  const [busy, setBusy] = useState(false);
  useEffect(() => document.getElementById("accept-call")?.querySelector("button")?.focus(), []);
  return (
    <span id="accept-call">
      <Button
        icon="phone"
        disabled={busy}
        onClick={() => {
          setBusy(true);
          void accept();
        }}
      >
        {t("call.accept")}
      </Button>
    </span>
  );
}

function CallScreen({ view }: { view: CallView }) {
  const { call, remote, local, muted } = view;
  const name = nameOf(call.peer);
  const picture = useStore(people, ({ avatars }) => avatars.get(call.peer));
  const seesThem = remote.getVideoTracks().length > 0 && !muted.video && call.phase === "active";
  return (
    <section
      aria-label={t("call.region", { name })}
      class="fixed inset-0 z-40 flex flex-col bg-gray-900 text-white"
    >
      <div class="relative min-h-0 flex-1 overflow-hidden">
        <Video
          stream={remote}
          label={t("call.theirVideo", { name })}
          class={`h-full w-full object-contain ${seesThem ? "" : "invisible absolute"}`}
        />
        {!seesThem && (
          <div class="absolute inset-0 flex flex-col items-center justify-center gap-4">
            <Avatar name={name} seed={call.peer} picture={picture} size="large" />
            <p class="text-2xl font-semibold">{name}</p>
            <p role="status">{statusOf(view)}</p>
          </div>
        )}
        <div class="absolute top-4 left-4 flex items-center gap-3 rounded-xl bg-black/60 px-3 py-1.5">
          {seesThem && <span class="font-semibold">{name}</span>}
          {call.phase === "active" && <Timer since={view.since ?? Date.now()} />}
          {muted.audio && (
            <span title={t("call.theirMute", { name })}>
              <Icon name="microphoneOff" class="h-4 w-4" />
              <span class="sr-only">{t("call.theirMute", { name })}</span>
            </span>
          )}
        </div>
        {local && (
          <Video
            track={local}
            muted
            mirrored={view.sending.camera}
            label={t("call.ownVideo")}
            class="absolute right-4 bottom-4 aspect-video w-32 rounded-xl bg-black object-cover shadow-lg ring-1 ring-white/30 md:w-56"
          />
        )}
      </div>
      <CallControls view={view} />
    </section>
  );
}

function statusOf({ call }: CallView): string {
  switch (call.phase) {
    case "ended":
      return t(`call.ended.${call.end ?? "hung-up"}`);
    case "calling":
    case "ringing":
    case "connecting":
    case "active":
      return t(`call.${call.phase}`);
    case "incoming":
      return "";
  }
}

function Timer({ since }: { since: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.floor((now - since) / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  return (
    <span class="tabular-nums" role="timer">
      {two(Math.floor(seconds / 60))}:{two(seconds % 60)}
    </span>
  );
}
