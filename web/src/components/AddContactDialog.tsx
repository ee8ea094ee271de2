import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";

import { add } from "../app/contacts";
import { t } from "../app/i18n";
import { chatPath } from "../app/routes";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { Dialog } from "../ui/Dialog";
import { Field } from "../ui/Field";
import { domain, parseAddress } from "../xmpp/jid";

export function AddContactDialog({ onClose }: { onClose: () => void }) {
  const [address, setAddress] = useState("");
  const [name, setName] = useState("");
  const [wrong, setWrong] = useState<string>();
  const me = useStore(account, (state) => state.jid) ?? "";
  const { route } = useLocation();
  const submit = async (event: Event) => {
    event.preventDefault();
    const jid = parseAddress(address, domain(me));
    if (!jid || jid === me) return setWrong(t("login.badAddress"));
    try {
      await add(jid, name.trim() || undefined);
      onClose();
      route(chatPath(jid));
    } catch (error) {
      const { condition = "timeout" } = error as { condition?: string };
      setWrong(t("contact.failed", { condition }));
    }
  };
  return (
    <Dialog title={t("nav.addContact")} onClose={onClose}>
      <form class="space-y-4" onSubmit={submit}>
        <Field
          label={t("contact.address")}
          hint={t("login.addressHint", { example: `name@${domain(me)}` })}
          value={address}
          onInput={setAddress}
          error={wrong}
          required
          autofocus
        />
        <Field label={t("contact.name")} value={name} onInput={setName} />
        <Button type="submit">{t("contact.add")}</Button>
      </form>
    </Dialog>
  );
}
