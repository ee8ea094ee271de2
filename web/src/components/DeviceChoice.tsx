import { useEffect, useState } from "preact/hooks";

import { t } from "../app/i18n";
import { type Choice, chooseDevices, chosenDevices, listDevices } from "../calls/devices";
import { notify } from "../state/notices";
import { Button } from "../ui/Button";
import { Select } from "../ui/Field";

const KINDS = [
  { kind: "audioinput", key: "microphone" },
  { kind: "videoinput", key: "camera" },
  { kind: "audiooutput", key: "speaker" },
] as const;

/** Which of several microphones, cameras and speakers. `onChange`: after a choice. */
export function DeviceChoice({ onChange }: { onChange?: (choice: Choice) => void }) {
  const [choice, setChoice] = useState(chosenDevices());
  const [devices, setDevices] = useState<Record<string, MediaDeviceInfo[]>>({});
  const load = async () => {
    const lists = await Promise.all(KINDS.map(({ kind }) => listDevices(kind)));
    setDevices(Object.fromEntries(KINDS.map(({ kind }, n) => [kind, lists[n] ?? []])));
  };
  useEffect(() => {
    void load();
    navigator.mediaDevices.addEventListener("devicechange", load);
    return () => navigator.mediaDevices.removeEventListener("devicechange", load);
  }, []);
  const ask = async () => {
    try {
      // Their names are told to pages that may use them only.
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      for (const track of stream.getTracks()) track.stop();
      await load();
    } catch {
      notify(t("call.denied"), "error");
    }
  };
  const known = Object.values(devices).some((list) => list.length > 0);
  if (!known) {
    return (
      <Button look="outline" onClick={ask}>
        {t("settings.askDevices")}
      </Button>
    );
  }
  return (
    <div class="space-y-4">
      {KINDS.map(({ kind, key }) => {
        const list = devices[kind] ?? [];
        if (list.length === 0) return null;
        const options = [
          { value: "", label: t("call.default") },
          ...list.map((device) => ({ value: device.deviceId, label: device.label })),
        ];
        return (
          <Select
            key={kind}
            label={t(`call.${key}`)}
            value={choice[key] ?? ""}
            options={options}
            onChange={(value) => {
              chooseDevices({ [key]: value || undefined });
              const chosen = chosenDevices();
              setChoice(chosen);
              onChange?.(chosen);
            }}
          />
        );
      })}
    </div>
  );
}
