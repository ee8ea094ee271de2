import type { ComponentChildren, Ref } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password";
  hint?: string;
  error?: string;
  required?: boolean;
  autocomplete?: "username" | "current-password" | "name";
  autofocus?: boolean;
  inputRef?: Ref<HTMLInputElement>;
}

const BOX = "w-full rounded-lg border border-edge bg-surface px-3 py-2 min-h-11";

export function Field({
  label,
  hint,
  error,
  onInput,
  type = "text",
  autocomplete,
  autofocus,
  inputRef,
  ...rest
}: FieldProps) {
  const id = useId();
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="space-y-1">
      <label for={id} class="block font-medium">
        {label}
      </label>
      <input
        {...rest}
        type={type as "text"}
        id={id}
        ref={inputRef}
        class={BOX}
        autocomplete={autocomplete}
        autocapitalize="none"
        spellcheck={false}
        autofocus={autofocus}
        aria-describedby={about || undefined}
        aria-invalid={error !== undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {hint && (
        <p id={`${id}-hint`} class="text-sm text-muted">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} class="text-sm text-danger">
          {error}
        </p>
      )}
    </div>
  );
}

export function Select<Value extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: Value;
  options: { value: Value; label: string }[];
  onChange: (value: Value) => void;
}) {
  const id = useId();
  return (
    <div class="space-y-1">
      <label for={id} class="block font-medium">
        {label}
      </label>
      <select
        id={id}
        class={BOX}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value as Value)}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Checkbox({
  checked,
  onChange,
  children,
}: {
  checked: boolean;
  onChange: (checked: boolean) => void;
  children: ComponentChildren;
}) {
  return (
    <label class="flex min-h-8 items-center gap-3">
      <input
        type="checkbox"
        class="h-5 w-5 accent-primary"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{children}</span>
    </label>
  );
}
