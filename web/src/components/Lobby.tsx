import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { t } from "../app/i18n";
import { LocalMedia } from "../calls/media";
import { Button } from "../ui/Button";
import { Checkbox } from "../ui/Field";
import { Icon } from "../ui/Icon";
import { DeviceChoice } from "./DeviceChoice";
import { Video } from "./Video";

/** Before a conference: a look at oneself, and what to send. Whoever takes no device can listen. */
export function Lobby({
  busy,
  wrong,
  onJoin,
  children,
}: {
  busy: boolean;
  wrong?: string;
  /** Takes the devices over; true if it has. */
  onJoin: (media: LocalMedia) => Promise<boolean>;
  /** What else is asked. */
  children?: ComponentChildren;
}) {
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
  const submit = async (event: Event) => {
    event.preventDefault();
    kept.taken = true;
    kept.taken = await onJoin(media);
  };
  return (
    <div class="min-h-0 flex-1 overflow-y-auto">
      <form class="mx-auto max-w-xl space-y-5 p-6" onSubmit={submit} aria-busy={busy}>
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
        {children}
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
        <Button type="submit" icon="camera" class="w-full" disabled={busy}>
          {busy ? t("call.connecting") : t("meet.join")}
        </Button>
        <details>
          <summary class="min-h-8 cursor-pointer font-medium">{t("call.devices")}</summary>
          <div class="pt-3">
            <DeviceChoice onChange={() => void media.reopen()} />
          </div>
        </details>
      </form>
    </div>
  );
}
