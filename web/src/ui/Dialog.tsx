import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { t } from "../app/i18n";
import { IconButton } from "./Button";

/** In front of everything; the browser keeps the focus inside and closes it by Escape. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      class="w-[min(28rem,calc(100vw-2rem))] rounded-2xl border border-line bg-surface p-0 shadow-xl backdrop:bg-black/50"
      onCancel={onClose}
    >
      <div class="flex items-center justify-between gap-4 border-b border-line py-2 pr-2 pl-5">
        <h2 id={id} class="text-lg font-semibold">
          {title}
        </h2>
        <IconButton icon="close" label={t("app.close")} onClick={onClose} />
      </div>
      <div class="max-h-[70vh] overflow-y-auto p-5">{children}</div>
    </dialog>
  );
}
