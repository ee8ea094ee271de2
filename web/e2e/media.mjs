// What a page really shows and plays; each function runs in the page.

/** Until the picture with the label changes: the sum of its pixels at two moments. */
export function pictureMoves(page, label) {
  return page.waitForFunction(
    (label) => {
      const video = document.querySelector(`video[aria-label="${label}"]`);
      if (!video || video.videoWidth === 0) return false;
      const canvas = document.createElement("canvas");
      canvas.width = 64;
      canvas.height = 48;
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0, 64, 48);
      const { data } = context.getImageData(0, 0, 64, 48);
      let sum = 0;
      for (const value of data) sum = (sum * 31 + value) % 1_000_003;
      video.sums ??= new Set();
      // One is black before the first frame.
      if (data.some((value, n) => n % 4 < 3 && value > 40)) video.sums.add(sum);
      return video.sums.size > 2;
    },
    label,
    { polling: 100 },
  );
}

/** Until what the element with the label plays is louder than silence. */
export function soundIsHeard(page, label) {
  return page.waitForFunction(
    (label) => {
      const video = document.querySelector(`video[aria-label="${label}"]`);
      const stream = video?.srcObject;
      if (!stream || stream.getAudioTracks().length === 0) return false;
      if (video.muted || video.paused) return false;
      if (!video.meter || video.meter.stream !== stream) {
        const context = new AudioContext();
        const analyser = context.createAnalyser();
        context.createMediaStreamSource(stream).connect(analyser);
        video.meter = { stream, analyser };
      }
      const samples = new Float32Array(video.meter.analyser.fftSize);
      video.meter.analyser.getFloatTimeDomainData(samples);
      return samples.some((sample) => Math.abs(sample) > 0.01);
    },
    label,
    { polling: 50 },
  );
}

/** The same where the machine has nothing to play sound on, so that no page can listen: by what arrives. */
export function soundArrives(page) {
  return page.waitForFunction(
    async () => {
      const reports = await Promise.all(window.peers.map((peer) => peer.getStats()));
      const streams = reports.flatMap((report) => [...report.values()]);
      return streams.some(
        ({ type, kind, totalAudioEnergy }) =>
          type === "inbound-rtp" && kind === "audio" && totalAudioEnergy > 0,
      );
    },
    undefined,
    { polling: 200 },
  );
}

/**
 * One side believes that the way is gone: until both have found one anew. `which`: of its connections;
 * `other`: the page at the other end of its last one, if a page it is.
 */
export async function findsAnotherWay(page, which, other) {
  const ends = [{ page, which }, ...(other ? [{ page: other, which: -1 }] : [])];
  const before = await Promise.all(ends.map(({ page, which }) => page.evaluate(remoteName, which)));
  await page.evaluate((which) => {
    const peer = window.peers.at(which);
    Object.defineProperty(peer, "connectionState", { value: "failed", configurable: true });
    peer.onconnectionstatechange();
    delete peer.connectionState;
  }, which);
  const isNew = ({ which, old }) => {
    const peer = window.peers.at(which);
    const name = /ice-ufrag:(\S+)/.exec(peer.remoteDescription.sdp)[1];
    return name !== old && peer.connectionState === "connected" && peer.signalingState === "stable";
  };
  await Promise.all(
    ends.map(({ page, which }, n) => page.waitForFunction(isNew, { which, old: before[n] })),
  );
}

/** Runs in the page. */
function remoteName(which) {
  return /ice-ufrag:(\S+)/.exec(window.peers.at(which).remoteDescription.sdp)[1];
}
