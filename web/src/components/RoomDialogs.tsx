import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";

import { nameOf } from "../app/contacts";
import { isText, t } from "../app/i18n";
import { create, invite, join, publicRooms } from "../app/rooms";
import { roomPath } from "../app/routes";
import { notify } from "../state/notices";
import { account, people } from "../state/stores";
import { useStore } from "../state/use";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Dialog } from "../ui/Dialog";
import { Checkbox, Field } from "../ui/Field";
import { domain, parseAddress } from "../xmpp/jid";

export function explainRoom(condition: string): string {
  const key = `room.error.${condition}`;
  return isText(key) ? t(key) : t("room.error.other", { condition });
}

export const explainFailure = (error: unknown): string => explainRoom(conditionOf(error));

export function NewRoomDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [closed, setClosed] = useState(true);
  const [wrong, setWrong] = useState<string>();
  const { route } = useLocation();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!name.trim()) return;
    try {
      const jid = await create(name.trim(), closed);
      onClose();
      route(roomPath(jid));
    } catch (error) {
      setWrong(explainFailure(error));
    }
  };
  return (
    <Dialog title={t("nav.newRoom")} onClose={onClose}>
      <form class="space-y-4" onSubmit={submit}>
        <Field
          label={t("room.name")}
          value={name}
          onInput={setName}
          error={wrong}
          required
          autofocus
        />
        <Checkbox checked={closed} onChange={setClosed}>
          {t("room.private")}
        </Checkbox>
        <Button type="submit">{t("room.create")}</Button>
      </form>
    </Dialog>
  );
}

export function JoinRoomDialog({ onClose }: { onClose: () => void }) {
  const service = useStore(account, ({ services }) => services.rooms) ?? "";
  const [address, setAddress] = useState("");
  const [password, setPassword] = useState("");
  const [asksPassword, setAsksPassword] = useState(false);
  const [wrong, setWrong] = useState<string>();
  const [found, setFound] = useState<{ jid: string; name: string }[]>([]);
  const { route } = useLocation();
  useEffect(() => {
    publicRooms().then(setFound, () => {});
  }, []);
  const enter = async (typed: string) => {
    const jid = parseAddress(typed, service);
    if (!jid) return setWrong(t("room.error.item-not-found"));
    try {
      await join(jid, password || undefined);
      onClose();
      route(roomPath(jid));
    } catch (error) {
      const condition = conditionOf(error);
      setAsksPassword(asksPassword || condition === "not-authorized");
      setAddress(typed);
      setWrong(explainRoom(condition));
    }
  };
  return (
    <Dialog title={t("nav.joinRoom")} onClose={onClose}>
      <form
        class="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(address);
        }}
      >
        <Field
          label={t("room.address")}
          hint={t("login.addressHint", { example: `hall@${service}` })}
          value={address}
          onInput={setAddress}
          error={wrong}
          required
          autofocus
        />
        {asksPassword && (
          <Field
            label={t("room.password")}
            type="password"
            value={password}
            onInput={setPassword}
          />
        )}
        <Button type="submit">{t("room.join")}</Button>
      </form>
      {found.length > 0 && (
        <section class="mt-6">
          <h3 class="mb-2 font-medium">{t("room.public")}</h3>
          <ul class="space-y-1">
            {found.map(({ jid, name }) => (
              <li key={jid} class="flex items-center gap-3">
                <span class="min-w-0 flex-1 truncate" title={jid}>
                  {name}
                </span>
                <Button look="outline" onClick={() => void enter(jid)}>
                  {t("room.join")}
                </Button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Dialog>
  );
}

export function InviteDialog({ room, onClose }: { room: string; onClose: () => void }) {
  const contacts = useStore(people, (state) => state.contacts);
  const [address, setAddress] = useState("");
  const [wrong, setWrong] = useState<string>();
  const send = async (typed: string) => {
    const jid = parseAddress(typed, domain(account.getState().jid ?? ""));
    if (!jid) return setWrong(t("login.badAddress"));
    await invite(room, jid);
    notify(t("room.invited", { name: nameOf(jid) }));
    onClose();
  };
  return (
    <Dialog title={t("room.invite")} onClose={onClose}>
      <form
        class="mb-5 space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void send(address);
        }}
      >
        <Field
          label={t("contact.address")}
          value={address}
          onInput={setAddress}
          error={wrong}
          required
          autofocus
        />
        <Button type="submit">{t("room.invite")}</Button>
      </form>
      <ul class="space-y-1">
        {[...contacts.keys()].map((jid) => (
          <li key={jid} class="flex items-center gap-3">
            <Avatar name={nameOf(jid)} seed={jid} size="small" />
            <span class="min-w-0 flex-1 truncate">{nameOf(jid)}</span>
            <Button look="outline" onClick={() => void send(jid)}>
              {t("room.invite")}
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function conditionOf(error: unknown): string {
  const { condition, message } = error as { condition?: string; message?: string };
  return condition ?? message ?? "timeout";
}
