/** Rings until told to stop; made, not played from a file. */

const TONES = { incoming: [523, 659, 784], outgoing: [425] } as const;
const PAUSE_MILLISECONDS = 2_500;

export function ring(kind: keyof typeof TONES): () => void {
  let context: AudioContext;
  try {
    context = new AudioContext();
  } catch {
    return () => {};
  }
  const play = () => {
    for (const [n, frequency] of TONES[kind].entries()) {
      const tone = context.createOscillator();
      const volume = context.createGain();
      const from = context.currentTime + n * 0.25;
      tone.frequency.value = frequency;
      volume.gain.setValueAtTime(0, from);
      volume.gain.linearRampToValueAtTime(kind === "incoming" ? 0.2 : 0.05, from + 0.02);
      volume.gain.linearRampToValueAtTime(0, from + 0.5);
      tone.connect(volume).connect(context.destination);
      tone.start(from);
      tone.stop(from + 0.6);
    }
  };
  play();
  const timer = setInterval(play, PAUSE_MILLISECONDS);
  return () => {
    clearInterval(timer);
    if (context.state !== "closed") void context.close();
  };
}
