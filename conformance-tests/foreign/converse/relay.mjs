// A call between two peers of a page that know nothing but the server's relay.

/**
 * Runs in the page. Two connections that may only use relayed addresses speak to each other, by TURN over
 * `transport`; returns by what they were connected once sound and data have come through.
 */
export async function relayed({ api, jid, password, transport }) {
  const json = async (path, init) => {
    const { data, ...rest } = await (await fetch(`${api}/${path}`, init)).json();
    if (!data) throw new Error(JSON.stringify(rest));
    return data;
  };
  const { token } = await json("auth/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: jid, password }),
  });
  const all = await json("turn-credentials", { headers: { authorization: `Bearer ${token}` } });
  const iceServers = all.iceServers.filter(({ urls }) => /^turn:/.test(urls) && urls.endsWith(`=${transport}`));
  const peers = [0, 1].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" }));
  const [caller, called] = peers;
  peers.forEach((peer, n) => {
    peer.onicecandidate = ({ candidate }) => candidate && peers[1 - n].addIceCandidate(candidate);
  });
  const output = new AudioContext();
  const tone = output.createOscillator();
  const stream = output.createMediaStreamDestination();
  tone.connect(stream);
  tone.start();
  caller.addTrack(stream.stream.getAudioTracks()[0], stream.stream);
  const channel = caller.createDataChannel("words");
  const heard = new Promise((resolve) => {
    called.ondatachannel = ({ channel }) => {
      channel.onmessage = ({ data }) => channel.send(data.toUpperCase());
    };
    channel.onmessage = ({ data }) => resolve(data);
  });
  channel.onopen = () => channel.send("wherefore");
  await caller.setLocalDescription();
  await called.setRemoteDescription(caller.localDescription);
  await called.setLocalDescription();
  await caller.setRemoteDescription(called.localDescription);
  const words = await heard;
  const stats = async (peer, type) => [...(await peer.getStats()).values()].filter((one) => one.type === type);
  let sound = 0;
  while (!(sound > 10)) {
    sound = (await stats(called, "inbound-rtp"))[0]?.packetsReceived;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  const candidates = (await stats(caller, "local-candidate")).map(({ candidateType, relayProtocol }) =>
    `${candidateType} by ${relayProtocol}`);
  peers.forEach((peer) => peer.close());
  return { words, candidates };
}
