import { useEffect, useState } from "preact/hooks";
import { LocationProvider, lazy, Route, Router, useLocation } from "preact-iso";

import { CallLayer } from "../components/CallLayer";
import { ConnectionBanner } from "../components/ConnectionBanner";
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
import { isGuestLink, routes } from "./routes";

const MeetingPage = lazy(() => import("../pages/MeetingPage").then((module) => module.MeetingPage));
const GuestPage = lazy(() => import("../pages/GuestPage").then((module) => module.GuestPage));

export function App() {
  useLanguage();
  useTitle();
  return (
    <LocationProvider>
      {isGuestLink() ? (
        <Router>
          <Route path={routes.join} component={GuestPage} />
          <Route default component={GuestPage} />
        </Router>
      ) : (
        <Account />
      )}
      <Notices />
    </LocationProvider>
  );
}

/** For people with an account: whatever they want to see, they log in first. */
function Account() {
  const [restoring, setRestoring] = useState(true);
  const loggedIn = useStore(account, ({ state }) => state === "online" || state === "waiting");
  useEffect(() => {
    void resume().finally(() => setRestoring(false));
  }, []);
  if (loggedIn) return <Shell />;
  if (!restoring) return <LoginPage />;
  return (
    <p class="flex h-full items-center justify-center text-muted" role="status">
      {t("app.connecting")}
    </p>
  );
}

/** The list beside the page; on narrow screens one of them at a time. */
function Shell() {
  const { path } = useLocation();
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
      <ConnectionBanner />
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
