import { useEffect, useRef, useState } from "preact/hooks";

import { sendFile, sendText } from "../app/chat";
import { t } from "../app/i18n";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { IconButton } from "../ui/Button";

// Then it scrolls.
const MOST_PIXELS = 160;

export function Composer({ jid, name }: { jid: string; name: string }) {
  const [text, setText] = useState("");
  const takesFiles = useStore(account, ({ services }) => services.upload !== undefined);
  const input = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // On a phone the keyboard would cover what one came to read.
    if (matchMedia("(pointer: fine)").matches) input.current?.focus();
  }, []);
  useEffect(() => {
    const element = input.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, MOST_PIXELS)}px`;
  }, [text]);

  const send = () => {
    const body = text.trim();
    if (!body) return;
    setText("");
    void sendText(jid, body);
    input.current?.focus();
  };
  const attach = (files: FileList | null | undefined) => {
    for (const file of files ?? []) void sendFile(jid, file);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter also ends the choice of a character of Chinese or Japanese.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      class="flex items-end gap-1 border-t border-line p-2 md:px-4"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        attach(event.dataTransfer?.files);
      }}
    >
      {takesFiles && (
        <>
          <input
            ref={picker}
            type="file"
            multiple
            class="hidden"
            aria-label={t("chat.attach")}
            onChange={({ currentTarget }) => {
              attach(currentTarget.files);
              currentTarget.value = "";
            }}
          />
          <IconButton
            icon="clip"
            label={t("chat.attach")}
            onClick={() => picker.current?.click()}
          />
        </>
      )}
      <textarea
        ref={input}
        rows={1}
        class="min-h-11 min-w-0 flex-1 resize-none rounded-2xl border border-edge bg-surface px-4 py-2"
        placeholder={t("chat.write")}
        aria-label={t("chat.writeTo", { name })}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={(event) => attach(event.clipboardData?.files)}
      />
      <IconButton
        icon="send"
        label={t("chat.send")}
        look="primary"
        disabled={!text.trim()}
        onClick={send}
      />
    </form>
  );
}
