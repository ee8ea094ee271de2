import { openCamera, openMicrophone, openScreen } from "./devices";

export type Kind = "audio" | "video" | "screen";

/** What this side sends. */
export interface Sending {
  microphone: boolean;
  camera: boolean;
  screen: boolean;
}

/** Opens and closes this side's devices, and hands their tracks to whoever sends them. */
export class LocalMedia {
  audio: MediaStreamTrack | undefined;
  video: MediaStreamTrack | undefined;
  screen: MediaStreamTrack | undefined;
  sending: Sending = { microphone: false, camera: false, screen: false };
  /** Gets each track that is to be sent in place of the one before; nothing: none. */
  onTrack: (kind: Kind, track: MediaStreamTrack | undefined) => void = () => {};
  /** After each change. */
  onChange: () => void = () => {};
  private closed = false;

  /** Opens what it can; who has no camera or refuses the microphone can still listen. */
  async open(camera: boolean): Promise<void> {
    await this.setMicrophone(true).catch(() => {});
    if (camera) await this.setCamera(true).catch(() => {});
  }

  async setMicrophone(on: boolean): Promise<void> {
    // Kept open while muted: opening it again would take a moment when somebody begins to speak.
    if (on && !this.audio) this.put("audio", await openMicrophone());
    if (this.audio) this.audio.enabled = on;
    this.note({ microphone: on && this.audio !== undefined });
  }

  async setCamera(on: boolean): Promise<void> {
    // Not only disabled: its light is to go out.
    this.put("video", on ? await openCamera() : undefined);
    this.note({ camera: on });
  }

  async setScreen(on: boolean): Promise<void> {
    const track = on ? await openScreen() : undefined;
    // Ended by the browser's own button.
    if (track) track.onended = () => void this.setScreen(false);
    this.put("screen", track);
    this.note({ screen: on });
  }

  /** Opens the devices anew, as after another one was chosen. */
  async reopen(): Promise<void> {
    const { microphone, camera } = this.sending;
    if (this.audio) {
      this.put("audio", await openMicrophone());
      if (this.audio) this.audio.enabled = microphone;
    }
    if (camera) await this.setCamera(true);
  }

  close(): void {
    this.closed = true;
    this.put("audio", undefined);
    this.put("video", undefined);
    this.put("screen", undefined);
    this.note({ microphone: false, camera: false, screen: false });
  }

  private put(kind: Kind, track: MediaStreamTrack | undefined): void {
    const before = this[kind];
    // The user hung up while the browser was still asking.
    const kept = this.closed ? undefined : track;
    if (track !== kept) track?.stop();
    this[kind] = kept;
    this.onTrack(kind, kept);
    if (before && before !== kept) {
      before.onended = null;
      before.stop();
    }
  }

  private note(change: Partial<Sending>): void {
    this.sending = { ...this.sending, ...change };
    this.onChange();
  }
}
