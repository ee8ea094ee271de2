import { useState } from "preact/hooks";

import { logOut } from "../app/client";
import { chooseLanguage, LANGUAGES, type Language, t, useLanguage } from "../app/i18n";
import { switchNotifications, wantsNotifications } from "../app/notifications";
import { chooseTheme, chosenTheme, type Theme } from "../app/theme";
import { DeviceChoice } from "../components/DeviceChoice";
import { Header } from "../components/Header";
import { notify } from "../state/notices";
import { account } from "../state/stores";
import { useStore } from "../state/use";
import { Button } from "../ui/Button";
import { Checkbox, Select } from "../ui/Field";

const THEMES: Theme[] = ["auto", "light", "dark"];

export function SettingsPage() {
  const jid = useStore(account, (state) => state.jid);
  const language = useLanguage();
  const [theme, setTheme] = useState(chosenTheme());
  const [notifies, setNotifies] = useState(wantsNotifications());
  const choose = async (on: boolean) => {
    const granted = await switchNotifications(on);
    setNotifies(granted);
    if (on && !granted) notify(t("settings.notifyDenied"), "error");
  };
  return (
    <>
      <Header title={t("settings.title")} />
      <div class="min-h-0 flex-1 overflow-y-auto">
        <div class="mx-auto max-w-lg space-y-8 p-6">
          <section class="space-y-4">
            <Select
              label={t("settings.language")}
              value={language}
              options={(Object.keys(LANGUAGES) as Language[]).map((value) => ({
                value,
                label: LANGUAGES[value],
              }))}
              onChange={chooseLanguage}
            />
            <Select
              label={t("settings.theme")}
              value={theme}
              options={THEMES.map((value) => ({ value, label: t(`settings.theme.${value}`) }))}
              onChange={(chosen) => {
                setTheme(chosen);
                chooseTheme(chosen);
              }}
            />
            <Checkbox checked={notifies} onChange={(on) => void choose(on)}>
              {t("settings.notify")}
            </Checkbox>
          </section>
          <section class="space-y-4">
            <h2 class="text-lg font-semibold">{t("settings.devices")}</h2>
            <DeviceChoice />
          </section>
          <section class="space-y-4">
            <h2 class="text-lg font-semibold">{t("settings.account")}</h2>
            <p class="break-all">{jid}</p>
            <Button look="outline" icon="leave" onClick={() => void logOut()}>
              {t("settings.logOut")}
            </Button>
            <p>
              <a class="text-link underline" href="/about" target="_self">
                {t("app.about")}
              </a>
            </p>
          </section>
        </div>
      </div>
    </>
  );
}
