//! Legs by str0m: RTP mode, set up without SDP. Only its neighbours in this folder know it too.
//!
//! It makes connections and takes what comes; what is sent is written by [`Egress`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use str0m::channel::ChannelId;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::{KeyframeRequestKind, MediaKind, Mid as StrMid, Rid as StrRid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{RtpPacket, Ssrc};
use str0m::stats::{CandidatePairStats, PeerStats};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};

use super::data::{Channel, ChannelSpec, Channels, Message};
use super::figures::Gathered;
use super::keys::{self, Handover};
use super::setup::{Descriptor, configure, is_estimated};
use super::{Datagram, Marks, Packet, Peer, PeerError, Polled, Report, Sending, Transport};
use crate::api::{
    Credentials, Fingerprint, LegSpec, Media, Mid, OutputSpec, Rid, TrackId, TrackSpec,
};
use crate::demux::{self, Kind};
use crate::egress::{Egress, Path, WallClock, srtp};

pub use crate::egress::{
    AUDIO_LEVEL, DEPENDENCY, MID, ORIENTATION, REPAIRED_RID, RID, SEND_TIME, TRANSPORT_CC,
};

/// Bit/s in whose multiples is told what would be sent.
const ASPIRED_STEP: u64 = 250_000;

/// The certificate of all engines, made when they start.
#[derive(Clone)]
pub struct Identity {
    pub(super) certificate: DtlsCert,
    pub(super) crypto: Arc<CryptoProvider>,
    fingerprint: Fingerprint,
    wall: WallClock,
}

impl Identity {
    /// `None` when no certificate can be made.
    pub fn generate(now: Instant) -> Option<Identity> {
        let crypto = Arc::new(keys::crypto());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(certificate.clone());
        let mut rtc = config.build(now);
        let own = rtc.direct_api().local_dtls_fingerprint().clone();
        let fingerprint = Fingerprint { hash: own.hash_func, bytes: own.bytes };
        Some(Identity { certificate, crypto, fingerprint, wall: WallClock::start(now) })
    }

    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    #[cfg(test)]
    pub(crate) fn crypto(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.crypto)
    }
}

/// A leg.
pub struct WebRtc {
    rtc: Rtc,
    crypto: Arc<CryptoProvider>,
    keys: Handover,
    egress: Egress,
    /// What the other side sends.
    tracks: Vec<Known>,
    channels: Channels,
    /// By whom the handshake is begun, as far as that goes for data, too.
    is_client: bool,
    connected: bool,
    gathered: Gathered,
    aspired: u64,
    pending: Pending,
    now: Instant,
}

/// What str0m may still have to say. To be asked costs it as much as a packet does, so it is not
/// asked where the answer is known.
#[derive(Clone, Copy)]
enum Pending {
    /// Whatever follows from a datagram, a command or a timer.
    Anything,
    /// Nothing until then.
    Nothing(Instant),
}

struct Known {
    track: TrackId,
    mid: StrMid,
    layers: Vec<StrRid>,
}

impl Peer for WebRtc {
    type Common = Identity;

    fn open(
        identity: &Identity,
        here: &[SocketAddr],
        spec: &LegSpec,
        now: Instant,
    ) -> Result<WebRtc, PeerError> {
        let (mut rtc, keys) = keys::handed_over(|| configure(identity, spec).build(now));
        for address in here {
            let tcp = Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build();
            for candidate in [Candidate::host(*address, Protocol::Udp), tcp] {
                let candidate = candidate.map_err(|_| PeerError::Setup("an address of ours"))?;
                rtc.add_local_candidate(candidate);
            }
        }
        let mut direct = rtc.direct_api();
        direct.set_ice_controlling(spec.controlling);
        direct.set_remote_ice_credentials(credentials(&spec.remote));
        direct.set_remote_fingerprint(str0m::config::Fingerprint {
            hash_func: spec.fingerprint.hash.clone(),
            bytes: spec.fingerprint.bytes.clone(),
        });
        let started = direct.start_dtls(spec.dtls_client);
        started.map_err(|_| PeerError::Setup("the handshake"))?;
        if !spec.tracks.is_empty() {
            direct.enable_twcc_feedback();
        }
        let mut leg = WebRtc {
            rtc,
            crypto: Arc::clone(&identity.crypto),
            keys,
            egress: Egress::new(spec, identity.wall, is_estimated(spec), now),
            tracks: Vec::new(),
            channels: Channels::default(),
            is_client: spec.dtls_client,
            connected: false,
            gathered: Gathered::default(),
            aspired: 0,
            pending: Pending::Anything,
            now,
        };
        for track in &spec.tracks {
            leg.add_track(track)?;
        }
        for output in &spec.outputs {
            leg.add_output(output)?;
        }
        Ok(leg)
    }

    fn accepts(&self, datagram: &Datagram<'_>, now: Instant) -> bool {
        received(datagram).is_some_and(|receive| self.rtc.accepts(&Input::Receive(now, receive)))
    }

    fn receive(&mut self, datagram: &Datagram<'_>, now: Instant) -> Result<(), PeerError> {
        self.now = now;
        if demux::is_report(datagram.contents) {
            self.egress.receive(datagram.contents, now);
            // What is left in it is about what comes.
            if self.tracks.is_empty() {
                return Ok(());
            }
        }
        match received(datagram) {
            Some(receive) => {
                self.pending = Pending::Anything;
                let handled = self.rtc.handle_input(Input::Receive(now, receive));
                handled.map_err(|error| self.failed(&error))
            }
            None => Ok(()),
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), PeerError> {
        self.now = now;
        self.egress.tick(now);
        match self.pending {
            Pending::Nothing(until) if now < until => Ok(()),
            Pending::Nothing(_) | Pending::Anything => {
                self.pending = Pending::Anything;
                let handled = self.rtc.handle_input(Input::Timeout(now));
                handled.map_err(|error| self.failed(&error))
            }
        }
    }

    fn poll(&mut self) -> Result<Polled, PeerError> {
        if let Pending::Nothing(until) = self.pending {
            let until = self.egress.due().map_or(until, |due| due.min(until));
            return Ok(self.egress.poll().unwrap_or(Polled::Until(until)));
        }
        match self.rtc.poll_output().map_err(|error| self.failed(&error))? {
            Output::Timeout(until) => {
                self.pending = Pending::Nothing(until);
                self.poll()
            }
            Output::Transmit(transmit) => {
                let path = Path {
                    transport: transport(transmit.proto),
                    source: transmit.source,
                    destination: transmit.destination,
                };
                // Connectivity checks go many ways, everything else the one that is agreed on.
                if matches!(demux::kind(&transmit.contents), Kind::Secured) {
                    self.egress.lead(path);
                }
                Ok(Polled::Send(path.single(transmit.contents.into())))
            }
            Output::Event(event) => self.event(event),
        }
    }

    fn restart(&mut self, local: &Credentials, remote: &Credentials) {
        self.pending = Pending::Anything;
        let mut direct = self.rtc.direct_api();
        direct.set_local_ice_credentials(credentials(local));
        direct.set_remote_ice_credentials(credentials(remote));
    }

    fn add_track(&mut self, track: &TrackSpec) -> Result<(), PeerError> {
        self.pending = Pending::Anything;
        let mid = self.unused(section(&track.mid))?;
        let mut direct = self.rtc.direct_api();
        let media = direct.declare_media(mid, kind(track.media));
        let layers: Vec<StrRid> = track.layers.iter().map(rid).collect();
        for layer in &layers {
            media.expect_rid_rx(*layer);
        }
        if layers.is_empty() {
            for (source, rtx) in &track.sources {
                direct.expect_stream_rx((*source).into(), rtx.map(Ssrc::from), mid, None);
            }
        }
        self.tracks.push(Known { track: track.track, mid, layers });
        Ok(())
    }

    fn remove_track(&mut self, track: TrackId) {
        self.pending = Pending::Anything;
        if let Some(place) = self.tracks.iter().position(|known| known.track == track) {
            let known = self.tracks.swap_remove(place);
            self.rtc.direct_api().remove_media(known.mid);
        }
    }

    fn add_output(&mut self, output: &OutputSpec) -> Result<(), PeerError> {
        let OutputSpec { ref mid, media, source, rtx, .. } = *output;
        if self.egress.has(mid) {
            return Err(PeerError::Setup("a media section twice"));
        }
        match self.egress.add(source, rtx, media, mid.clone(), None) {
            true => Ok(()),
            false => Err(PeerError::Setup("a source twice")),
        }
    }

    fn remove_output(&mut self, source: u32) {
        self.egress.remove(source);
    }

    fn request_keyframe(&mut self, track: TrackId, layer: usize) {
        self.pending = Pending::Anything;
        let Some(known) = self.tracks.iter().find(|known| known.track == track) else { return };
        let (mid, rid) = (known.mid, known.layers.get(layer).copied());
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn write(&mut self, packet: Sending) {
        self.egress.write(packet);
    }

    fn aspire(&mut self, rate: u64) {
        // A wish that only wavers is no reason to try again.
        let rate = rate.next_multiple_of(ASPIRED_STEP);
        if self.aspired != rate {
            self.aspired = rate;
            self.egress.aspire(rate);
        }
    }

    fn start_data(&mut self) {
        self.pending = Pending::Anything;
        self.rtc.direct_api().start_sctp(self.is_client);
    }

    fn open_channel(&mut self, spec: &ChannelSpec) -> Channel {
        self.pending = Pending::Anything;
        let id = self.rtc.direct_api().create_data_channel(spec.config());
        self.channels.add(id)
    }

    fn close_channel(&mut self, channel: Channel) {
        self.pending = Pending::Anything;
        if let Some(id) = self.channels.id(channel) {
            self.channels.remove(id);
            self.rtc.direct_api().close_data_channel(id);
        }
    }

    fn write_channel(&mut self, channel: Channel, message: &Message) -> bool {
        let Some(id) = self.channels.id(channel) else { return false };
        let Some(mut open) = self.rtc.channel(id) else { return false };
        self.pending = Pending::Anything;
        open.write(message.binary, &message.data).unwrap_or(false)
    }

    fn report(&self) -> Report {
        self.gathered.report()
    }
}

impl WebRtc {
    /// For clients, in tests and measurements: the engine itself never calls an address that it was
    /// only told of.
    pub fn call(&mut self, address: SocketAddr) {
        // Checks begin at the next tick, which a side that waits for the handshake is not given otherwise.
        self.pending = Pending::Nothing(self.now);
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// For clients in tests: the same by TCP.
    #[cfg(test)]
    pub(crate) fn add_remote_connection(&mut self, address: SocketAddr) {
        self.pending = Pending::Anything;
        let candidate = Candidate::builder().tcp().host(address).tcptype(TcpType::Passive);
        self.rtc.add_remote_candidate(candidate.build().unwrap());
    }

    /// For clients likewise: a layer that is sent.
    pub fn add_layer(&mut self, mid: &Mid, layer: &Rid, source: u32) {
        self.egress.add(source, None, Media::Video, mid.clone(), Some(layer.clone()));
    }

    /// Media can pass, under the keys that the handshake has made.
    fn connected(&mut self) -> Result<Polled, PeerError> {
        let keys = self.keys.get().ok_or(PeerError::Handshake)?;
        let seals = srtp::keys(&self.crypto, keys.profile, &keys.material, keys.is_client);
        self.egress.secure(seals.ok_or(PeerError::Handshake)?);
        self.connected = true;
        Ok(Polled::Connected)
    }

    fn figures(&mut self, stats: &PeerStats) {
        if let Some(pair) = &stats.selected_candidate_pair {
            self.egress.lead(path(pair));
        }
        self.gathered.peer(stats, &self.egress);
    }

    fn event(&mut self, event: Event) -> Result<Polled, PeerError> {
        Ok(match event {
            Event::Connected => return self.connected(),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Polled::Lost,
            Event::IceConnectionStateChange(state) if state.is_connected() => Polled::Found,
            Event::RtpPacket(packet) => self.packet(packet).map_or(Polled::Nothing, Polled::Packet),
            Event::PeerStats(stats) => {
                self.figures(&stats);
                Polled::Nothing
            }
            Event::MediaIngressStats(stats) => {
                self.gathered.ingress(&stats, clock(self.rtc.media(stats.mid)));
                Polled::Nothing
            }
            Event::ChannelOpen(id, _) => self.opened(id),
            Event::ChannelData(message) => match self.channels.named(message.id) {
                Some(channel) => {
                    let (binary, data) = (message.binary, message.data.into());
                    Polled::Message(channel, Message { binary, data })
                }
                None => Polled::Nothing,
            },
            Event::ChannelClose(id) => {
                self.channels.remove(id).map_or(Polled::Nothing, Polled::ChannelClosed)
            }
            Event::Closed => Polled::Closed,
            _ => Polled::Nothing,
        })
    }

    /// Of those that were opened here it is known.
    fn opened(&mut self, id: ChannelId) -> Polled {
        if self.channels.named(id).is_some() {
            return Polled::Nothing;
        }
        let spec = self.rtc.channel(id).and_then(|open| open.config().map(ChannelSpec::read));
        spec.map_or(Polled::Nothing, |spec| Polled::Opened(self.channels.add(id), spec))
    }

    fn packet(&mut self, packet: RtpPacket) -> Option<Packet> {
        let (mid, rid) = {
            let mut direct = self.rtc.direct_api();
            let stream = direct.stream_rx(&packet.header.ssrc)?;
            (stream.mid(), stream.rid())
        };
        let known = self.tracks.iter().find(|known| known.mid == mid)?;
        let layer = match rid {
            Some(rid) => known.layers.iter().position(|layer| *layer == rid)?,
            None => 0,
        };
        let values = &packet.header.ext_vals;
        Some(Packet {
            track: known.track,
            layer,
            pt: *packet.header.payload_type,
            seq: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            marks: Marks {
                level: values.audio_level,
                voice: values.voice_activity,
                orientation: values.video_orientation.map(|turned| turned as u8),
            },
            arrived: packet.timestamp,
            captured: captured(&packet, clock(self.rtc.media(mid))),
            descriptor: values.user_values.get().map(|Descriptor(octets)| Arc::clone(octets)),
            payload: packet.payload,
        })
    }

    fn unused(&self, mid: StrMid) -> Result<StrMid, PeerError> {
        match self.rtc.media(mid) {
            Some(_) => Err(PeerError::Setup("a media section twice")),
            None => Ok(mid),
        }
    }

    /// Before media can pass there is only the handshake to fail.
    fn failed(&self, error: &str0m::RtcError) -> PeerError {
        tracing::debug!(%error, connected = self.connected, "transport of a leg failed");
        if self.connected { PeerError::Transport } else { PeerError::Handshake }
    }
}

/// `clock`: of its timestamps, in Hz.
fn captured(packet: &RtpPacket, clock: u32) -> Option<i64> {
    let report = packet.last_sender_info?;
    let reported = match report.ntp_time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).ok()?,
        // Who has no clock counts from when it was switched on.
        Err(before) => -i64::try_from(before.duration().as_micros()).ok()?,
    };
    // What is kept of it is extended by how often it has wrapped.
    let then = report.rtp_time.numer() as u32;
    let ticks = i64::from(packet.header.timestamp.wrapping_sub(then) as i32);
    reported.checked_add(ticks * 1_000_000 / i64::from(clock))
}

/// Of RTP timestamps, in Hz.
fn clock(media: Option<&str0m::media::Media>) -> u32 {
    match media.map(str0m::media::Media::kind) {
        Some(MediaKind::Audio) => 48_000,
        _ => 90_000,
    }
}

fn path(pair: &CandidatePairStats) -> Path {
    Path {
        transport: transport(pair.protocol),
        source: pair.local.addr,
        destination: pair.remote.addr,
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Udp => Transport::Udp,
        Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => Transport::Tcp,
    }
}

fn received<'a>(datagram: &Datagram<'a>) -> Option<Receive<'a>> {
    let Datagram { transport, source, destination, contents } = *datagram;
    let protocol = match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    };
    Receive::new(protocol, source, destination, contents).ok()
}

pub(super) fn credentials(from: &Credentials) -> IceCreds {
    IceCreds { ufrag: from.ufrag.clone(), pass: from.password.clone() }
}

fn kind(media: Media) -> MediaKind {
    match media {
        Media::Audio => MediaKind::Audio,
        Media::Video => MediaKind::Video,
    }
}

/// As it is read from header extensions.
fn section(mid: &Mid) -> StrMid {
    StrMid::from(mid.as_str())
}

fn rid(rid: &Rid) -> StrRid {
    StrRid::from_array(padded(rid.as_str()))
}

/// Names are ASCII and no longer than this: see [`Mid::new`] and [`Rid::new`].
fn padded<const N: usize>(name: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}
