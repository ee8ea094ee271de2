import { useEffect, useRef, useState } from "preact/hooks";

import { logIn } from "../app/client";
import { isText, t } from "../app/i18n";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { Checkbox, Field } from "../ui/Field";
import { parseAddress } from "../xmpp/jid";

export function LoginPage() {
  const [address, setAddress] = useState("");
  const [password, setPassword] = useState("");
  const [visible, setVisible] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string>();
  const refused = useStore(account, (state) => state.refused);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    const jid = parseAddress(address, location.hostname);
    if (!jid) return setWrong(t("login.badAddress"));
    setWrong(undefined);
    setBusy(true);
    // What went wrong is in the account's state.
    await logIn(jid, password).catch(() => {});
    setBusy(false);
  };
  return (
    <main class="flex h-full items-center justify-center overflow-y-auto p-4">
      <form class="w-full max-w-sm space-y-5" onSubmit={submit} aria-busy={busy}>
        <div class="flex items-center gap-3">
          <img src="/icon.svg" alt="" class="h-12 w-12" />
          <h1 class="text-2xl font-bold">{t("app.name")}</h1>
        </div>
        <Field
          label={t("login.address")}
          hint={t("login.addressHint", { example: `name@${location.hostname}` })}
          value={address}
          onInput={setAddress}
          error={wrong}
          autocomplete="username"
          inputRef={first}
          required
        />
        <Field
          label={t("login.password")}
          type={visible ? "text" : "password"}
          value={password}
          onInput={setPassword}
          autocomplete="current-password"
          required
        />
        <Checkbox checked={visible} onChange={setVisible}>
          {t("login.show")}
        </Checkbox>
        <div role="alert">{refused && !busy && <p class="text-danger">{explain(refused)}</p>}</div>
        <Button type="submit" class="w-full" disabled={busy}>
          {busy ? t("login.busy") : t("login.submit")}
        </Button>
        <p class="text-center text-sm">
          <a class="text-link underline" href="/about" target="_self">
            {t("app.about")}
          </a>
        </p>
      </form>
    </main>
  );
}

function explain(condition: string): string {
  const key = `login.${condition}`;
  return isText(key) ? t(key) : t("login.other", { condition });
}
