import { useMemo, useState } from "preact/hooks";
import { useLocation } from "preact-iso";

import { nameOf, presenceOf } from "../app/contacts";
import { formatTime, t } from "../app/i18n";
import { chatPath, roomPath, routes } from "../app/routes";
import type { Conversation, Message } from "../state/conversation";
import { account, chats, people, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/Button";
import { Icon } from "../ui/Icon";
import { isPerson } from "../xmpp/messages";
import { AddContactDialog } from "./AddContactDialog";
import { Requests } from "./Requests";
import { JoinRoomDialog, NewRoomDialog } from "./RoomDialogs";

type Tab = "chats" | "contacts";
type Open = "contact" | "new-room" | "join-room" | undefined;

export function Sidebar() {
  const me = useStore(account, (state) => state.jid) ?? "";
  const picture = useStore(people, ({ avatars }) => avatars.get(me));
  const hasRooms = useStore(account, ({ services }) => services.rooms !== undefined);
  const [tab, setTab] = useState<Tab>("chats");
  const [wanted, setWanted] = useState("");
  const [dialog, setDialog] = useState<Open>();
  const close = () => setDialog(undefined);
  return (
    <nav aria-label={t("nav.main")} class="flex min-h-0 flex-1 flex-col bg-raised">
      {/* On narrow screens this is the page. */}
      <h1 class="sr-only md:hidden">{t("nav.main")}</h1>
      <div class="flex min-h-16 items-center gap-2 border-b border-line px-3">
        <Avatar name={nameOf(me)} seed={me} picture={picture} size="small" />
        <span class="min-w-0 flex-1 truncate font-semibold" title={me}>
          {nameOf(me)}
        </span>
        <div class="-mr-2 flex">
          <IconButton
            icon="userPlus"
            label={t("nav.addContact")}
            onClick={() => setDialog("contact")}
          />
          {hasRooms && (
            <>
              <IconButton
                icon="plus"
                label={t("nav.newRoom")}
                onClick={() => setDialog("new-room")}
              />
              <IconButton
                icon="room"
                label={t("nav.joinRoom")}
                onClick={() => setDialog("join-room")}
              />
            </>
          )}
          <a
            href={routes.settings}
            aria-label={t("nav.settings")}
            title={t("nav.settings")}
            class="inline-flex h-10 w-10 shrink-0 items-center justify-center rounded-full hover:bg-hover"
          >
            <Icon name="gear" />
          </a>
        </div>
      </div>
      <div class="space-y-2 p-3">
        <div class="relative">
          <Icon name="search" class="absolute top-3 left-3 h-5 w-5 text-muted" />
          <input
            type="search"
            class="min-h-11 w-full rounded-lg border border-edge bg-surface pr-3 pl-10"
            aria-label={t("nav.search")}
            placeholder={t("nav.search")}
            value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)}
          />
        </div>
        <div class="grid grid-cols-2 gap-1 rounded-lg bg-hover p-1">
          {(["chats", "contacts"] as const).map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={tab === one}
              onClick={() => setTab(one)}
              class={`min-h-9 rounded-md font-medium ${tab === one ? "bg-surface shadow-sm" : "text-muted"}`}
            >
              {t(`nav.${one}`)}
            </button>
          ))}
        </div>
      </div>
      <div class="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
        <Requests />
        {tab === "chats" ? <ChatList wanted={wanted} me={me} /> : <ContactList wanted={wanted} />}
      </div>
      {dialog === "contact" && <AddContactDialog onClose={close} />}
      {dialog === "new-room" && <NewRoomDialog onClose={close} />}
      {dialog === "join-room" && <JoinRoomDialog onClose={close} />}
    </nav>
  );
}

const matches = (wanted: string, ...texts: string[]) =>
  texts.some((text) => text.toLowerCase().includes(wanted.trim().toLowerCase()));

function ChatList({ wanted, me }: { wanted: string; me: string }) {
  const conversations = useStore(chats, (state) => state.conversations);
  const known = useStore(rooms, (state) => state.rooms);
  // Names and pictures.
  useStore(people, (state) => state);
  const entries = useMemo(() => {
    const jids = new Set([...known.keys(), ...conversations.keys()]);
    const list = [...jids].flatMap((jid) => {
      const room = known.get(jid);
      const conversation = conversations.get(jid);
      // A room that was left, or a service that wrote once.
      if (!room && (!isPerson(jid) || jid === me || !conversation?.messages.length)) return [];
      const name = room?.name ?? nameOf(jid);
      return matches(wanted, name, jid)
        ? [{ jid, name, room: room !== undefined, conversation }]
        : [];
    });
    const time = ({ conversation }: { conversation?: Conversation }) =>
      conversation?.messages.at(-1)?.time ?? 0;
    return list.sort((a, b) => time(b) - time(a) || a.name.localeCompare(b.name));
  }, [conversations, known, wanted, me]);
  if (entries.length === 0) {
    return <p class="p-4 text-center text-muted">{t(wanted ? "nav.none" : "chats.empty")}</p>;
  }
  return (
    <ul>
      {entries.map(({ jid, name, room, conversation }) => {
        const last = conversation?.messages.at(-1);
        const unread = conversation?.unread ?? 0;
        return (
          <Entry
            key={jid}
            jid={jid}
            name={name}
            room={room}
            detail={last && preview(last)}
            time={last && shortTime(last.time)}
            unread={unread}
          />
        );
      })}
    </ul>
  );
}

function ContactList({ wanted }: { wanted: string }) {
  const contacts = useStore(people, (state) => state.contacts);
  const presence = useStore(people, (state) => state.presence);
  const entries = useMemo(() => {
    const online = (jid: string) => (presenceOf(jid, presence) ? 0 : 1);
    return [...contacts.values()]
      .map(({ jid, asked }) => ({ jid, asked, name: nameOf(jid) }))
      .filter(({ jid, name }) => matches(wanted, name, jid))
      .sort((a, b) => online(a.jid) - online(b.jid) || a.name.localeCompare(b.name));
  }, [contacts, presence, wanted]);
  if (entries.length === 0) {
    return <p class="p-4 text-center text-muted">{t(wanted ? "nav.none" : "contacts.empty")}</p>;
  }
  return (
    <ul>
      {entries.map(({ jid, name, asked }) => {
        const availability = presenceOf(jid, presence)?.availability ?? "offline";
        const detail = t(asked ? "contact.pending" : `presence.${availability}`);
        return <Entry key={jid} jid={jid} name={name} room={false} detail={detail} />;
      })}
    </ul>
  );
}

function Entry({
  jid,
  name,
  room,
  detail,
  time,
  unread = 0,
}: {
  jid: string;
  name: string;
  room: boolean;
  detail?: string;
  time?: string;
  unread?: number;
}) {
  const { path } = useLocation();
  const picture = useStore(people, ({ avatars }) => avatars.get(jid));
  const presence = useStore(people, (state) => presenceOf(jid, state.presence)?.availability);
  const href = room ? roomPath(jid) : chatPath(jid);
  const here = path === href || decodeURIComponent(path) === decodeURIComponent(href);
  return (
    <li>
      <a
        href={href}
        aria-current={here ? "page" : undefined}
        class={`flex items-center gap-3 rounded-xl px-3 py-2 ${here ? "bg-selected" : "hover:bg-hover"}`}
      >
        {room ? (
          <span class="flex h-11 w-11 shrink-0 items-center justify-center rounded-xl bg-selected text-link">
            <Icon name="room" />
          </span>
        ) : (
          <Avatar name={name} seed={jid} picture={picture} presence={presence ?? "offline"} />
        )}
        <span class="min-w-0 flex-1">
          <span class="flex items-baseline gap-2">
            <span class="min-w-0 flex-1 truncate font-medium">{name}</span>
            {time && <span class="text-xs text-muted">{time}</span>}
          </span>
          <span class="flex items-center gap-2">
            <span class="min-w-0 flex-1 truncate text-sm text-muted">{detail ?? jid}</span>
            {unread > 0 && (
              <span class="rounded-full bg-primary px-2 text-xs font-semibold text-on-primary">
                <span aria-hidden="true">{unread}</span>
                <span class="sr-only">{t("chats.unread", { count: unread })}</span>
              </span>
            )}
          </span>
        </span>
      </a>
    </li>
  );
}

function preview({ body, attachment, mine, note }: Message): string {
  if (note) return t(`call.note.${note}`);
  const names = {
    image: "chat.picture",
    audio: "chat.voice",
    video: "chat.video",
    file: "chat.file",
  } as const;
  const text = attachment ? t(names[attachment.kind], { name: attachment.name }) : body;
  return mine ? `${t("chat.you")}: ${text}` : text;
}

function shortTime(time: number): string {
  const today = formatTime(Date.now(), "day") === formatTime(time, "day");
  return formatTime(time, today ? "time" : "short");
}
