import { useEffect, useState } from "preact/hooks";
import { LocationProvider, lazy, Route, Router, useLocation } from "preact-iso";

import { CallLayer } from "../components/CallLayer";
import { Sidebar } from "../components/Sidebar";
import { ChatPage } from "../pages/ChatPage";
import { HomePage } from "../pages/HomePage";
import { LoginPage } from "../pages/LoginPage";
import { RoomPage } from "../pages/RoomPage";
import { SettingsPage } from "../pages/SettingsPage";
import { account, chats } from "../state/stores";
import { useStore } from "../state/use";
import { Notices } from "../ui/Notices";
import { resume } from "./client";
import { t, useLanguage } from "./i18n";
import { routes } from "./routes";

const MeetingPage = lazy(() => import("../pages/MeetingPage").then((module) => module.MeetingPage));

export function App() {
  useLanguage();
  useTitle();
  const [restoring, setRestoring] = useState(true);
  const loggedIn = useStore(account, ({ state }) => state === "online" || state === "waiting");
  useEffect(() => {
    void resume().finally(() => setRestoring(false));
  }, []);
  return (
    <LocationProvider>
      {restoring && !loggedIn ? (
        <p class="flex h-full items-center justify-center text-muted" role="status">
          {t("app.connecting")}
        </p>
      ) : loggedIn ? (
        <Shell />
      ) : (
        <LoginPage />
      )}
      <Notices />
    </LocationProvider>
  );
}

/** The list beside the page; on narrow screens one of them at a time. */
function Shell() {
  const { path } = useLocation();
  const waiting = useStore(account, ({ state }) => state === "waiting");
  const meeting = path.startsWith("/r/");
  const list = path === routes.home;
  return (
    <div class="flex h-full flex-col">
      <a
        href="#content"
        class="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-surface focus:p-3"
      >
        {t("app.skip")}
      </a>
      {waiting && (
        <p role="status" class="bg-warning-surface px-4 py-1 text-center text-warning">
          {t("app.waiting")}
        </p>
      )}
      <main class="flex min-h-0 flex-1">
        {!meeting && (
          <div
            class={`${list ? "flex" : "hidden"} w-full flex-col border-line md:flex md:w-80 md:border-r`}
          >
            <Sidebar />
          </div>
        )}
        <div
          id="content"
          tabIndex={-1}
          class={`${list ? "hidden md:flex" : "flex"} min-w-0 flex-1 flex-col outline-none`}
        >
          <Router>
            <Route path={routes.home} component={HomePage} />
            <Route path={routes.chat} component={ChatPage} />
            <Route path={routes.room} component={RoomPage} />
            <Route path={routes.settings} component={SettingsPage} />
            <Route path={routes.meeting} component={MeetingPage} />
            <Route default component={HomePage} />
          </Router>
        </div>
      </main>
      <CallLayer />
    </div>
  );
}

/** How much is unread, in the tab. */
function useTitle(): void {
  const unread = useStore(chats, ({ conversations }) => {
    let sum = 0;
    for (const conversation of conversations.values()) sum += conversation.unread;
    return sum;
  });
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) ${t("app.name")}` : t("app.name");
  }, [unread]);
}
