import { useEffect, useRef } from "preact/hooks";

import { chosenDevices } from "../calls/devices";

/** Shows a stream or a track, and plays its sound. */
export function Video({
  stream,
  track,
  label,
  muted = false,
  mirrored = false,
  volume = 1,
  class: extra,
}: {
  stream?: MediaStream;
  track?: MediaStreamTrack;
  label: string;
  muted?: boolean;
  mirrored?: boolean;
  volume?: number;
  class?: string;
}) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    element.srcObject = stream ?? (track ? new MediaStream([track]) : null);
    // Refused if the user has not yet touched the page; then they see it and press something.
    element.play().catch(() => {});
    const { speaker } = chosenDevices();
    // Not in every browser.
    if (speaker && "setSinkId" in element) element.setSinkId(speaker).catch(() => {});
  }, [stream, track]);
  useEffect(() => {
    if (video.current) video.current.volume = volume;
  }, [volume]);
  return (
    <video
      ref={video}
      autoplay
      playsInline
      muted={muted}
      aria-label={label}
      class={`${extra} ${mirrored ? "-scale-x-100" : ""}`}
    />
  );
}
