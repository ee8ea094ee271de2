import { retry } from "../app/chat";
import { formatTime, t } from "../app/i18n";
import type { Attachment, Message, Progress } from "../state/conversation";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { colourOf } from "../ui/Avatar";
import { Icon, type IconName } from "../ui/Icon";
import { RichText } from "./RichText";

/** One message. `grouped`: follows another of the same person. `named`: say who it is. */
export function MessageItem({
  jid,
  message,
  grouped,
  named,
}: {
  jid: string;
  message: Message;
  grouped: boolean;
  named: boolean;
}) {
  const { mine, sender, body, attachment, time, progress } = message;
  if (message.note) {
    return (
      <p class="my-2 flex items-center justify-center gap-2 text-sm text-muted">
        <Icon name="phone" class="h-4 w-4" />
        {t(`call.note.${message.note}`)}
        <time dateTime={new Date(time).toISOString()}>{formatTime(time, "time")}</time>
      </p>
    );
  }
  return (
    <div class={`flex ${mine ? "justify-end" : "justify-start"} ${grouped ? "" : "mt-3"}`}>
      <div
        class={`max-w-[85%] rounded-2xl px-3 py-2 md:max-w-[70%] ${mine ? "bg-own" : "bg-bubble"}`}
      >
        {named && !mine && !grouped && (
          <p class="mb-0.5 flex items-center gap-1.5 text-sm font-semibold">
            <span class="h-2.5 w-2.5 rounded-full" style={{ background: colourOf(sender) }} />
            {sender}
          </p>
        )}
        <span class="sr-only">{mine ? t("chat.you") : sender.split("@")[0]}: </span>
        {attachment ? (
          <AttachmentView attachment={attachment} />
        ) : progress === "uploading" ? (
          <Upload name={body} share={message.uploaded ?? 0} />
        ) : (
          <p class="break-words whitespace-pre-wrap">
            <RichText text={body} />
          </p>
        )}
        <p class="mt-0.5 flex items-center justify-end gap-1 text-xs text-muted">
          <time dateTime={new Date(time).toISOString()}>{formatTime(time, "time")}</time>
          {mine && progress && <ProgressMark progress={progress} />}
        </p>
        {progress === "failed" && (
          <button
            type="button"
            class="text-sm text-link underline"
            onClick={() => void retry(jid, message.id)}
          >
            {t("chat.retry")}
          </button>
        )}
      </div>
    </div>
  );
}

const MARKS: Record<Exclude<Progress, "uploading">, IconName> = {
  waiting: "clock",
  sent: "check",
  received: "checks",
  displayed: "checks",
  failed: "warning",
};

function ProgressMark({ progress }: { progress: Progress }) {
  if (progress === "uploading") return null;
  const looks = progress === "displayed" ? "text-link" : progress === "failed" ? "text-danger" : "";
  return (
    <span class={looks} title={t(`chat.${progress}`)} data-progress={progress}>
      <Icon name={MARKS[progress]} class="h-4 w-4" />
      <span class="sr-only">{t(`chat.${progress}`)}</span>
    </span>
  );
}

function Upload({ name, share }: { name: string; share: number }) {
  const percent = Math.round(share * 100);
  return (
    <div class="w-56 max-w-full space-y-1">
      <p class="truncate">{name}</p>
      <progress
        class="w-full accent-primary"
        value={share}
        max={1}
        aria-label={t("chat.uploading", { percent })}
      />
    </div>
  );
}

function AttachmentView({ attachment }: { attachment: Attachment }) {
  const { url, kind, name, host } = attachment;
  const ours = useStore(account, ({ jid }) => isOurs(host, jid));
  // Of other servers only on demand: they would learn who reads where, and the policy forbids it.
  if (ours && kind === "image") {
    return (
      <a href={url} target="_blank" rel="noreferrer noopener" class="block">
        <img
          src={url}
          alt={t("chat.picture", { name })}
          class="max-h-80 max-w-full rounded-lg"
          loading="lazy"
        />
      </a>
    );
  }
  if (ours && kind === "audio") {
    return (
      // biome-ignore lint/a11y/useMediaCaption: nobody has written down what was said
      <audio
        src={url}
        controls
        preload="metadata"
        class="w-64 max-w-full"
        aria-label={t("chat.voice")}
      />
    );
  }
  if (ours && kind === "video") {
    return (
      // biome-ignore lint/a11y/useMediaCaption: as above
      <video
        src={url}
        controls
        preload="metadata"
        class="max-h-80 max-w-full rounded-lg"
        aria-label={t("chat.video", { name })}
      />
    );
  }
  return (
    <a
      href={url}
      target="_blank"
      rel="noreferrer noopener"
      class="flex items-center gap-2 text-link underline"
      aria-label={t("chat.file", { name })}
    >
      <Icon name="clip" />
      <span class="break-all">{name}</span>
    </a>
  );
}

/** Is the file on the server that this page is from, or on the one that the account is on? */
function isOurs(host: string, jid: string | undefined): boolean {
  const name = host.replace(/:\d+$/, "");
  return host === location.host || (jid?.endsWith(`@${name}`) ?? false);
}
