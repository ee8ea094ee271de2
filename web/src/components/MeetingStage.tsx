import { useEffect, useRef, useState } from "preact/hooks";

import { t } from "../app/i18n";
import { localMedia } from "../calls/conference";
import { canShareScreen } from "../calls/devices";
import type { Person } from "../calls/roster";
import { changeTile, meeting, type Tile } from "../state/meeting";
import { notify } from "../state/notices";
import { account, chats, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/Button";
import { Icon } from "../ui/Icon";
import { Composer } from "./Composer";
import { ConnectionBanner } from "./ConnectionBanner";
import { ControlBar, Round } from "./ControlBar";
import { GuestLinkButtons } from "./GuestLinkButtons";
import { MessageList } from "./MessageList";
import { Video } from "./Video";

type Panel = "people" | "chat" | undefined;
type Layout = "grid" | "focus";

export function MeetingStage({ room, onLeave }: { room: string; onLeave: () => void }) {
  const { tiles, people, speaker, phase, sending, local } = useStore(meeting, (state) => state);
  const guest = useStore(account, (state) => state.guest);
  const name = useStore(rooms, (state) => state.rooms.get(room)?.name) ?? room;
  const nick = useStore(rooms, (state) => state.rooms.get(room)?.nick) ?? "";
  const unread = useStore(chats, ({ conversations }) => conversations.get(room)?.unread ?? 0);
  const [panel, setPanel] = useState<Panel>();
  const [layout, setLayout] = useState<Layout>("grid");
  const [busy, setBusy] = useState(false);
  useAnnouncements(people, nick);
  // The form that led here is gone, with what had the focus.
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const toggle = (which: Panel) => setPanel(panel === which ? undefined : which);
  const others = [...tiles.values()];
  const spoken = others.find((tile) => tile.nick === speaker && !tile.screen) ?? others[0];
  // What somebody shows is what all came to see.
  const large = others.find((tile) => tile.screen) ?? (layout === "focus" ? spoken : undefined);
  const self = (
    <SelfTile
      key="self"
      nick={nick}
      picture={local}
      mirrored={sending.camera}
      muted={!sending.microphone}
    />
  );
  const small = others.filter((tile) => tile !== large);
  const tile = (one: Tile, big = false) => (
    <OtherTile key={one.id} tile={one} speaking={one.nick === speaker && !one.screen} large={big} />
  );
  const copy = () => {
    void navigator.clipboard.writeText(location.href).then(() => notify(t("meet.copied")));
  };
  return (
    <div class="flex min-h-0 flex-1 flex-col bg-gray-900 text-white">
      <div class="flex items-center gap-3 px-4 py-2">
        <h1 ref={heading} tabIndex={-1} class="min-w-0 flex-1 truncate font-semibold outline-none">
          {name}
        </h1>
        <GuestLinkButtons room={room} />
        {!guest && (
          <IconButton icon="copy" label={t("meet.copy")} class="hover:bg-gray-700" onClick={copy} />
        )}
        <IconButton
          icon={layout === "grid" ? "focus" : "grid"}
          label={t(layout === "grid" ? "meet.focus" : "meet.grid")}
          class="hover:bg-gray-700"
          onClick={() => setLayout(layout === "grid" ? "focus" : "grid")}
        />
      </div>
      {guest && <ConnectionBanner />}
      {phase === "reconnecting" && (
        <p role="status" class="bg-amber-200 px-4 py-1 text-center text-amber-900">
          {t("meet.reconnecting")}
        </p>
      )}
      <div class="relative flex min-h-0 flex-1">
        <section aria-label={t("meet.people")} class="flex min-w-0 flex-1 flex-col gap-2 p-2">
          {large && <div class="flex min-h-0 flex-[3] justify-center">{tile(large, true)}</div>}
          <div class={`grid min-h-0 flex-1 auto-rows-fr gap-2 ${columns(small.length + 1)}`}>
            {small.map((one) => tile(one))}
            {self}
          </div>
          {others.length === 0 && <p class="pb-2 text-center text-gray-300">{t("meet.alone")}</p>}
        </section>
        {panel && (
          <aside
            aria-label={t(panel === "chat" ? "meet.chat" : "meet.people")}
            class="absolute inset-0 z-10 flex flex-col bg-surface text-text md:static md:w-80"
          >
            <div class="flex items-center justify-between border-b border-line py-2 pr-2 pl-4">
              <h2 class="font-semibold">{t(panel === "chat" ? "meet.chat" : "meet.people")}</h2>
              <IconButton icon="close" label={t("app.close")} onClick={() => setPanel(undefined)} />
            </div>
            {panel === "chat" ? (
              <>
                <MessageList jid={room} />
                <Composer jid={room} name={name} />
              </>
            ) : (
              <People room={room} tiles={others} />
            )}
          </aside>
        )}
      </div>
      <ControlBar
        sending={sending}
        media={localMedia()}
        screen={canShareScreen()}
        endLabel={t("meet.leave")}
        busy={busy}
        onBusy={setBusy}
        onEnd={onLeave}
      >
        <Round
          icon="people"
          label={t("meet.people")}
          active={panel === "people"}
          onClick={() => toggle("people")}
        />
        <span class="relative">
          <Round
            icon="chat"
            label={t("meet.chat")}
            active={panel === "chat"}
            onClick={() => toggle("chat")}
          />
          {unread > 0 && panel !== "chat" && (
            <span class="absolute -top-1 -right-1 rounded-full bg-green-400 px-1.5 text-xs font-semibold text-gray-900">
              <span aria-hidden="true">{unread}</span>
              <span class="sr-only">{t("chats.unread", { count: unread })}</span>
            </span>
          )}
        </span>
      </ControlBar>
    </div>
  );
}

function columns(count: number): string {
  if (count <= 1) return "grid-cols-1";
  if (count <= 4) return "grid-cols-1 sm:grid-cols-2";
  return count <= 9 ? "grid-cols-2 md:grid-cols-3" : "grid-cols-3 md:grid-cols-4";
}

const FRAME = "relative min-h-0 min-w-0 overflow-hidden rounded-xl bg-gray-800 outline-4";

function OtherTile({ tile, speaking, large }: { tile: Tile; speaking: boolean; large: boolean }) {
  const { nick, media, muted, screen } = tile;
  const name = screen ? t("meet.screenOf", { name: nick }) : nick;
  const visible = media.getVideoTracks().length > 0 && !muted.video;
  return (
    <figure
      class={`${FRAME} ${large ? "h-full w-full" : ""} ${speaking ? "outline-green-400" : "outline-transparent"}`}
      data-nick={name}
    >
      <Video
        stream={media}
        volume={tile.volume}
        label={screen ? name : t("call.theirVideo", { name })}
        class={`h-full w-full object-contain ${visible ? "" : "invisible"}`}
      />
      {!visible && <Face nick={nick} />}
      <Caption nick={name} muted={muted.audio && !screen} speaking={speaking} />
    </figure>
  );
}

function SelfTile({
  nick,
  picture,
  mirrored,
  muted,
}: {
  nick: string;
  picture?: MediaStreamTrack;
  mirrored: boolean;
  muted: boolean;
}) {
  return (
    <figure class={`${FRAME} outline-transparent`}>
      {picture ? (
        <Video
          track={picture}
          muted
          mirrored={mirrored}
          label={t("call.ownVideo")}
          class="h-full w-full object-contain"
        />
      ) : (
        <Face nick={nick} />
      )}
      <Caption nick={t("chat.you")} muted={muted} speaking={false} />
    </figure>
  );
}

function Face({ nick }: { nick: string }) {
  return (
    <span class="absolute inset-0 flex items-center justify-center">
      <Avatar name={nick} seed={nick} size="large" />
    </span>
  );
}

function Caption({ nick, muted, speaking }: { nick: string; muted: boolean; speaking: boolean }) {
  return (
    <figcaption class="absolute bottom-2 left-2 flex max-w-[90%] items-center gap-2 rounded-lg bg-black/70 px-2 py-1 text-sm">
      {muted && (
        <>
          <Icon name="microphoneOff" class="h-4 w-4" />
          <span class="sr-only">{t("call.theirMute", { name: nick })}</span>
        </>
      )}
      <span class="truncate">{nick}</span>
      {speaking && <span class="sr-only">{t("meet.speaking", { name: nick })}</span>}
    </figcaption>
  );
}

function People({ room, tiles }: { room: string; tiles: Tile[] }) {
  const { people, speaker } = useStore(meeting, (state) => state);
  const here = useStore(rooms, (state) => state.rooms.get(room));
  return (
    <ul class="min-h-0 flex-1 space-y-2 overflow-y-auto p-4">
      {people.map((person) => {
        const tile = tiles.find((one) => one.nick === person.nick && !one.screen);
        return (
          <li key={person.nick}>
            <div class="flex items-center gap-3">
              <Avatar name={person.nick} seed={person.nick} size="small" />
              <span class="min-w-0 flex-1 truncate">
                {person.nick}
                {person.nick === here?.nick && ` (${t("chat.you")})`}
                {here?.occupants.get(person.nick)?.guest && (
                  <span class="ml-2 text-sm text-muted">{t("guest.guest")}</span>
                )}
              </span>
              {person.nick === speaker && <Icon name="speaker" />}
              <Icon name={person.microphone ? "microphone" : "microphoneOff"} />
              <Icon name={person.camera ? "camera" : "cameraOff"} />
              <span class="sr-only">
                {t(person.microphone ? "call.microphoneOn" : "call.microphoneOff")},{" "}
                {t(person.camera ? "meet.withCamera" : "call.cameraIsOff")}
              </span>
            </div>
            {tile && (
              <input
                type="range"
                min={0}
                max={1}
                step={0.05}
                value={tile.volume}
                class="mt-1 w-full accent-primary"
                aria-label={t("meet.volume", { name: person.nick })}
                onInput={({ currentTarget }) => {
                  const volume = Number(currentTarget.value);
                  changeTile(tile.id, () => ({ volume }));
                }}
              />
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** Says who comes and goes. */
function useAnnouncements(people: readonly Person[], self: string): void {
  const before = useRef<Set<string> | undefined>(undefined);
  useEffect(() => {
    const now = new Set(people.map(({ nick }) => nick));
    for (const nick of now) {
      if (before.current && !before.current.has(nick) && nick !== self)
        notify(t("meet.joined", { name: nick }));
    }
    for (const nick of before.current ?? []) {
      if (!now.has(nick) && nick !== self) notify(t("meet.left", { name: nick }));
    }
    // Who was there when we came has not come.
    if (people.length > 0) before.current = now;
  }, [people, self]);
}
