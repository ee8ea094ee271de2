import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { t } from "../app/i18n";
import type { LocalMedia, Sending } from "../calls/media";
import { notify } from "../state/notices";
import { Dialog } from "../ui/Dialog";
import { Icon, type IconName } from "../ui/Icon";
import { DeviceChoice } from "./DeviceChoice";

/** What is sent and what ends it, below every call. Keys: M, V and D as in other meeting systems. */
export function ControlBar({
  sending,
  media,
  screen,
  endLabel,
  busy,
  onBusy,
  onEnd,
  children,
}: {
  sending: Sending;
  media?: LocalMedia;
  screen: boolean;
  endLabel: string;
  busy: boolean;
  onBusy: (busy: boolean) => void;
  onEnd: () => void;
  children?: ComponentChildren;
}) {
  const [choosing, setChoosing] = useState(false);
  const change = async (what: Promise<void> | undefined, announce?: string) => {
    onBusy(true);
    try {
      await what;
      if (announce) notify(announce);
    } catch (error) {
      // Choosing no window is no mistake.
      if ((error as Error).name !== "NotAllowedError" || !sending.screen)
        notify(t("call.denied"), "error");
    } finally {
      onBusy(false);
    }
  };
  const microphone = (byKey = false) => {
    const on = !sending.microphone;
    void change(
      media?.setMicrophone(on),
      byKey ? t(on ? "call.microphoneOn" : "call.microphoneOff") : undefined,
    );
  };
  const picture = () => void change(media?.setCamera(!sending.camera));
  const share = () => void change(media?.setScreen(!sending.screen));
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "m") microphone(true);
      if (event.key === "v") picture();
      if (event.key === "d" && screen) share();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
  return (
    <div
      class="flex flex-wrap items-center justify-center gap-3 bg-gray-900 p-4 text-white"
      role="toolbar"
      aria-label={t("call.active")}
    >
      <Round
        icon={sending.microphone ? "microphone" : "microphoneOff"}
        label={t(sending.microphone ? "call.mute" : "call.unmute")}
        off={!sending.microphone}
        disabled={busy}
        onClick={() => microphone()}
      />
      <Round
        icon={sending.camera ? "camera" : "cameraOff"}
        label={t(sending.camera ? "call.cameraOff" : "call.cameraOn")}
        off={!sending.camera}
        disabled={busy}
        onClick={picture}
      />
      {screen && (
        <Round
          icon="screen"
          label={t(sending.screen ? "call.unshare" : "call.share")}
          active={sending.screen}
          disabled={busy}
          onClick={share}
        />
      )}
      <Round icon="gear" label={t("call.devices")} onClick={() => setChoosing(true)} />
      {children}
      <button
        type="button"
        class="inline-flex h-12 items-center gap-2 rounded-full bg-red-700 px-5 font-medium hover:bg-red-800"
        onClick={onEnd}
      >
        <Icon name="hangUp" />
        {endLabel}
      </button>
      {choosing && (
        <Dialog title={t("call.devices")} onClose={() => setChoosing(false)}>
          <DeviceChoice onChange={() => void change(media?.reopen())} />
        </Dialog>
      )}
    </div>
  );
}

export function Round({
  icon,
  label,
  off,
  active,
  disabled,
  onClick,
}: {
  icon: IconName;
  label: string;
  off?: boolean;
  active?: boolean;
  disabled?: boolean;
  onClick: () => void;
}) {
  const look = off
    ? "bg-white text-gray-900"
    : active
      ? "bg-green-500 text-gray-900"
      : "bg-gray-700 hover:bg-gray-600";
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onClick}
      class={`inline-flex h-12 w-12 items-center justify-center rounded-full disabled:opacity-60 ${look}`}
    >
      <Icon name={icon} />
    </button>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select") !== null;
}
