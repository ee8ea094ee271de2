import type { ComponentChildren } from "preact";

import { Icon, type IconName } from "./Icon";

type Look = "primary" | "quiet" | "danger" | "outline";

const LOOKS: Record<Look, string> = {
  primary: "bg-primary text-on-primary hover:bg-primary-hover",
  danger: "bg-danger text-on-danger hover:opacity-90",
  outline: "border border-edge hover:bg-hover",
  quiet: "hover:bg-hover",
};

interface Common {
  look?: Look;
  disabled?: boolean;
  onClick?: () => void;
  class?: string;
}

export function Button({
  look = "primary",
  type = "button",
  icon,
  children,
  class: extra = "",
  ...rest
}: Common & { type?: "button" | "submit"; icon?: IconName; children: ComponentChildren }) {
  return (
    <button
      {...rest}
      type={type}
      class={`inline-flex min-h-10 items-center justify-center gap-2 rounded-lg px-4 py-2 font-medium disabled:opacity-50 ${LOOKS[look]} ${extra}`}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** `pressed` makes it a switch, whose label stays what it switches. */
export function IconButton({
  look = "quiet",
  icon,
  label,
  pressed,
  class: extra = "",
  ...rest
}: Common & { icon: IconName; label: string; pressed?: boolean }) {
  return (
    <button
      {...rest}
      type="button"
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      class={`inline-flex h-10 w-10 shrink-0 items-center justify-center rounded-full disabled:opacity-50 ${LOOKS[look]} ${extra}`}
    >
      <Icon name={icon} />
    </button>
  );
}
