//! Peer connections of the crate `webrtc`, which shares nothing with what the server is built on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtc::data_channel::RTCDataChannelInit;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability,
    RtpCodecKind,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceCandidateInit, RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription,
    Registry, register_default_interceptors,
};
use webrtc::runtime::default_runtime;

const PATIENCE: Duration = Duration::from_secs(60);

/// Something that came: audio or video, and its payload.
pub type Heard = (RtpCodecKind, Vec<u8>);

/// What is sent, packet by packet.
pub type Payloads = Box<dyn FnMut() -> Vec<u8> + Send>;

/// How it is sent.
struct Codec {
    kind: RtpCodecKind,
    mime: &'static str,
    clock_rate: u32,
    channels: u16,
    pt: u8,
}

const OPUS: Codec = Codec {
    kind: RtpCodecKind::Audio,
    mime: "audio/opus",
    clock_rate: 48_000,
    channels: 2,
    pt: 111,
};
const VP8: Codec =
    Codec { kind: RtpCodecKind::Video, mime: "video/VP8", clock_rate: 90_000, channels: 0, pt: 96 };

/// By these packets name their content and their layer (RFC 9143, RFC 8852).
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    /// Channels that it is offered.
    channels: mpsc::Receiver<Arc<dyn DataChannel>>,
    gathered: Option<oneshot::Receiver<()>>,
    connected: Option<oneshot::Receiver<()>>,
    stop: Arc<AtomicBool>,
}

struct Handler {
    gathered: parking_lot::Mutex<Option<oneshot::Sender<()>>>,
    connected: parking_lot::Mutex<Option<oneshot::Sender<()>>>,
    heard: mpsc::Sender<Heard>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete
            && let Some(gathered) = self.gathered.lock().take()
        {
            let _ = gathered.send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected
            && let Some(connected) = self.connected.lock().take()
        {
            let _ = connected.send(());
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.channels.send(channel).await.unwrap();
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let kind = track.kind().await;
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    // Whoever listens has heard enough.
                    let _ = heard.try_send((kind, packet.payload.to_vec()));
                }
            }
        });
    }
}

/// The first partition of a picture that stands alone, ending with a name.
pub fn picture_of(name: &str) -> Payloads {
    let picture = [&[0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0][..], name.as_bytes()].concat();
    Box::new(move || picture.clone())
}

/// Pictures that stand alone, ending with their numbers.
pub fn numbered() -> Payloads {
    let mut number = 0_u32;
    Box::new(move || {
        number += 1;
        [&[0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0][..], &number.to_be_bytes()].concat()
    })
}

/// Of a picture of [`numbered`].
pub fn number_of(picture: &[u8]) -> u32 {
    u32::from_be_bytes(*picture.last_chunk().unwrap())
}

impl Peer {
    pub async fn new(heard: mpsc::Sender<Heard>) -> Peer {
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        for uri in [MID, RID].map(str::to_owned) {
            let names = RTCRtpHeaderExtensionCapability { uri };
            media.register_header_extension(names, RtpCodecKind::Video, None).unwrap();
        }
        let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let (gathered, on_gathered) = oneshot::channel();
        let (connected, on_connected) = oneshot::channel();
        let (offered, channels) = mpsc::channel(16);
        let handler = Handler {
            gathered: parking_lot::Mutex::new(Some(gathered)),
            connected: parking_lot::Mutex::new(Some(connected)),
            heard,
            channels: offered,
        };
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_runtime(default_runtime().unwrap())
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .with_tcp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await
            .unwrap();
        Peer {
            connection: Arc::new(connection),
            channels,
            gathered: Some(on_gathered),
            connected: Some(on_connected),
            stop: Arc::default(),
        }
    }

    /// An offer of a microphone and a camera; what they send ends with `name`.
    pub async fn offer(&mut self, name: &str) -> String {
        let sound = [&[0xf8][..], name.as_bytes()].concat();
        self.offer_media(name, Box::new(move || sound.clone()), picture_of(name)).await
    }

    /// The same with something else.
    pub async fn offer_media(&mut self, name: &str, sound: Payloads, picture: Payloads) -> String {
        self.send(&OPUS, name, sound).await;
        self.send(&VP8, name, picture).await;
        self.offer_all().await
    }

    /// A microphone alone.
    pub async fn offer_sound(&mut self, name: &str, sound: Payloads) -> String {
        self.send(&OPUS, name, sound).await;
        self.offer_all().await
    }

    /// A camera, beside what there is.
    pub async fn offer_camera(&mut self, name: &str) -> String {
        self.send(&VP8, name, picture_of(name)).await;
        self.offer_all().await
    }

    async fn offer_all(&mut self) -> String {
        let offer = self.connection.create_offer(None).await.unwrap();
        self.connection.set_local_description(offer).await.unwrap();
        self.description().await
    }

    /// An offer of a camera in layers, whose pictures end with their names.
    pub async fn offer_layers(&mut self, name: &str, layers: &[&str]) -> String {
        let first = source(&VP8, name);
        let sources: Vec<(u32, &str)> = (first..).zip(layers.iter().copied()).collect();
        let track = self.add(&VP8, name, &sources).await;
        let offer = self.connection.create_offer(None).await.unwrap();
        let (mid, rid) = (extension(&offer.sdp, MID), extension(&offer.sdp, RID));
        self.connection.set_local_description(offer).await.unwrap();
        for (ssrc, layer) in sources {
            // It is the only content.
            let names = vec![(mid, "0".to_owned()), (rid, layer.to_owned())];
            self.play(&track, &VP8, ssrc, names, picture_of(layer));
        }
        self.description().await
    }

    /// The same with new credentials for ICE (RFC 8829, section 5.2.3.1).
    pub async fn offer_anew(&mut self) -> String {
        let options = RTCOfferOptions { ice_restart: true };
        let offer = self.connection.create_offer(Some(options)).await.unwrap();
        self.connection.set_local_description(offer).await.unwrap();
        self.description().await
    }

    /// Opens a channel: before an offer it is part of that.
    pub async fn open_channel(
        &self,
        label: &str,
        channel: RTCDataChannelInit,
    ) -> Arc<dyn DataChannel> {
        self.connection.create_data_channel(label, Some(channel)).await.unwrap()
    }

    /// The next channel that it is offered.
    pub async fn channel(&mut self) -> Arc<dyn DataChannel> {
        let channel = timeout(PATIENCE, self.channels.recv()).await;
        channel.expect("a channel comes in time").unwrap()
    }

    pub async fn accepted(&mut self, sdp: String) {
        let answer = RTCSessionDescription::answer(sdp.clone()).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
        self.connect(&sdp).await;
    }

    pub async fn answer(&mut self, offer: String) -> String {
        let description = RTCSessionDescription::offer(offer.clone()).unwrap();
        self.connection.set_remote_description(description).await.unwrap();
        self.connect(&offer).await;
        let answer = self.connection.create_answer(None).await.unwrap();
        self.connection.set_local_description(answer).await.unwrap();
        self.description().await
    }

    /// Connections are opened only to candidates that come one by one.
    async fn connect(&self, sdp: &str) {
        let mut lines = sdp.lines().filter_map(|line| line.strip_prefix("a="));
        // One bundle: the candidates of all contents are the same.
        if let Some(candidate) = lines.find(|line| line.ends_with("tcptype passive")) {
            let candidate =
                RTCIceCandidateInit { candidate: candidate.to_owned(), ..Default::default() };
            self.connection.add_ice_candidate(candidate).await.unwrap();
        }
    }

    pub async fn connected(&mut self) {
        let connected = self.connected.take().unwrap();
        timeout(PATIENCE, connected).await.expect("it connects in time").unwrap();
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    async fn description(&mut self) -> String {
        // Only the first time there is something to gather.
        if let Some(gathered) = self.gathered.take() {
            timeout(PATIENCE, gathered).await.expect("it gathers in time").unwrap();
        }
        self.connection.local_description().await.unwrap().sdp
    }

    async fn send(&self, codec: &Codec, name: &str, payloads: Payloads) {
        let ssrc = source(codec, name);
        let track = self.add(codec, name, &[(ssrc, "")]).await;
        self.play(&track, codec, ssrc, Vec::new(), payloads);
    }

    /// Adds something that is sent, with its sources and the names of their layers.
    async fn add(
        &self,
        codec: &Codec,
        name: &str,
        sources: &[(u32, &str)],
    ) -> Arc<TrackLocalStaticRTP> {
        let Codec { kind, mime, clock_rate, channels, .. } = *codec;
        let encodings = sources.iter().map(|(ssrc, rid)| RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                rid: (*rid).to_owned(),
                ssrc: Some(*ssrc),
                ..Default::default()
            },
            codec: RTCRtpCodec {
                mime_type: mime.to_owned(),
                clock_rate,
                channels,
                sdp_fmtp_line: String::new(),
                rtcp_feedback: Vec::new(),
            },
            ..Default::default()
        });
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            format!("stream-{name}"),
            format!("track-{kind}"),
            format!("label-{kind}"),
            kind,
            encodings.collect(),
        )));
        self.connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await.unwrap();
        track
    }

    /// Sends a packet each 20 ms, with these header extensions.
    fn play(
        &self,
        track: &Arc<TrackLocalStaticRTP>,
        codec: &Codec,
        ssrc: u32,
        extensions: Vec<(u8, String)>,
        mut payloads: Payloads,
    ) {
        let Codec { clock_rate, pt, .. } = *codec;
        let (track, stop) = (Arc::clone(track), Arc::clone(&self.stop));
        tokio::spawn(async move {
            let mut frames = tokio::time::interval(Duration::from_millis(20));
            let mut number = 0_u16;
            while !stop.load(Ordering::Relaxed) {
                frames.tick().await;
                number = number.wrapping_add(1);
                let mut header = rtp::header::Header {
                    version: 2,
                    marker: true,
                    payload_type: pt,
                    sequence_number: number,
                    timestamp: u32::from(number) * clock_rate / 50,
                    ssrc,
                    ..Default::default()
                };
                for (id, value) in &extensions {
                    header.set_extension(*id, value.clone().into()).unwrap();
                }
                let packet = rtp::Packet { header, payload: payloads().into() };
                // Before it is connected there is nowhere to send to.
                let _ = track.write_rtp(packet).await;
            }
        });
    }
}

fn source(codec: &Codec, name: &str) -> u32 {
    u32::from(codec.pt) * 1000 + u32::from(name.as_bytes()[0])
}

/// The number of a header extension in an offer (RFC 8285, section 5).
fn extension(sdp: &str, uri: &str) -> u8 {
    let mut lines = sdp.lines().filter_map(|line| line.strip_prefix("a=extmap:"));
    let line = lines.find(|line| line.ends_with(uri)).unwrap();
    line.split_once(' ').unwrap().0.parse().unwrap()
}
