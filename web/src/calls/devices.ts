/** Cameras, microphones and the screen. */

export interface Choice {
  microphone?: string;
  camera?: string;
  speaker?: string;
}

const KEY = "wello.devices";

export function chosenDevices(): Choice {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Choice;
  } catch {
    return {};
  }
}

export function chooseDevices(choice: Choice): void {
  localStorage.setItem(KEY, JSON.stringify({ ...chosenDevices(), ...choice }));
}

export async function listDevices(kind: MediaDeviceKind): Promise<MediaDeviceInfo[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  // Without permission they have no names and cannot be chosen.
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}

export function openMicrophone(): Promise<MediaStreamTrack> {
  const { microphone } = chosenDevices();
  const audio = {
    deviceId: ideal(microphone),
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  };
  return track(navigator.mediaDevices.getUserMedia({ audio }));
}

export function openCamera(): Promise<MediaStreamTrack> {
  const { camera } = chosenDevices();
  const video = {
    deviceId: ideal(camera),
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { max: 30 },
  };
  return track(navigator.mediaDevices.getUserMedia({ video }));
}

export function openScreen(): Promise<MediaStreamTrack> {
  return track(navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } }));
}

export const canShareScreen = (): boolean =>
  typeof navigator.mediaDevices?.getDisplayMedia === "function";

// A device that was unplugged since must not stop the call.
const ideal = (deviceId: string | undefined) => (deviceId ? { ideal: deviceId } : undefined);

async function track(opened: Promise<MediaStream>): Promise<MediaStreamTrack> {
  const [first] = (await opened).getTracks();
  if (!first) throw new Error("no track");
  return first;
}
