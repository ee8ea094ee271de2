import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import { loadOlder } from "../app/chat";
import { formatTime, t } from "../app/i18n";
import { empty } from "../state/conversation";
import { chats, rooms } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { MessageItem } from "./MessageItem";

// As close to an end as counts as being there.
const PIXELS = 80;

export function MessageList({ jid }: { jid: string }) {
  const conversation = useStore(chats, ({ conversations }) => conversations.get(jid)) ?? empty;
  const inRoom = useStore(rooms, (state) => state.rooms.has(jid));
  const { messages, complete, loading } = conversation;
  const box = useRef<HTMLDivElement>(null);
  // Where the reader was before this rendering.
  const place = useRef({ atEnd: true, fromEnd: 0 });
  const newest = messages.at(-1);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const { atEnd, fromEnd } = place.current;
    // At the end one follows what is said; elsewhere what one reads stays where it is.
    element.scrollTop =
      atEnd || newest?.mine ? element.scrollHeight : element.scrollHeight - fromEnd;
  }, [messages, newest]);

  // Who sees the beginning of what is there wants what was before; asked for once each.
  const asked = useRef<string>(undefined);
  const fill = () => {
    const element = box.current;
    if (!element || loading || complete || conversation.oldest === asked.current) return;
    if (element.scrollTop >= PIXELS) return;
    asked.current = conversation.oldest;
    void loadOlder(jid);
  };
  useEffect(fill, [loading, conversation.oldest]);

  const onScroll = ({ currentTarget }: { currentTarget: HTMLDivElement }) => {
    const { scrollTop, scrollHeight, clientHeight } = currentTarget;
    const fromEnd = scrollHeight - scrollTop;
    place.current = { atEnd: fromEnd - clientHeight < PIXELS, fromEnd };
    fill();
  };
  // A picture that has loaded makes the list longer.
  const onLoad = () => {
    const element = box.current;
    if (element && place.current.atEnd) element.scrollTop = element.scrollHeight;
  };
  return (
    <div
      ref={box}
      class="min-h-0 flex-1 overflow-y-auto overscroll-contain px-3 py-4 md:px-6"
      onScroll={onScroll}
      onLoadCapture={onLoad}
      role="log"
      aria-label={t("chat.messages")}
      aria-busy={loading}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
      tabIndex={0}
    >
      <div class="mb-3 text-center text-sm text-muted">
        {loading ? (
          t("chat.loading")
        ) : complete ? (
          t("chat.beginning")
        ) : (
          <Button look="quiet" onClick={() => void loadOlder(jid)}>
            {t("chat.older")}
          </Button>
        )}
      </div>
      <ol class="space-y-1">
        {messages.map((message, n) => {
          const before = messages[n - 1];
          const day = formatTime(message.time, "day");
          const newDay = !before || formatTime(before.time, "day") !== day;
          const grouped =
            !newDay && before?.sender === message.sender && message.time - before.time < 300_000;
          return (
            <li key={`${message.sender} ${message.id || message.archiveId}`}>
              {newDay && <p class="my-4 text-center text-sm font-medium text-muted">{day}</p>}
              <MessageItem jid={jid} message={message} grouped={grouped} named={inRoom} />
            </li>
          );
        })}
      </ol>
    </div>
  );
}
