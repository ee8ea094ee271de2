//! Legs by str0m: RTP mode, set up without SDP. The only file that knows it, with `bitstream`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::from_feature_flags;
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, Mid as StrMid, Pt, Rid as StrRid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{
    Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite, Ssrc, VideoOrientation,
    Vp8Descriptor,
};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};

use super::{Datagram, Marks, Packet, Peer, PeerError, Polled, Sending};
use crate::api::{
    Codec, Credentials, Fingerprint, LegSpec, Media, OutputSpec, Payload, Rid, TrackId, TrackSpec,
};

/// Packets kept for retransmission: a second of good video.
const KEPT_VIDEO: usize = 512;
const KEPT_AUDIO: usize = 64;
/// How long they may be asked for again.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// The certificate of an engine, made when it starts.
pub struct Identity {
    certificate: DtlsCert,
    crypto: Arc<CryptoProvider>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// `None` when no certificate can be made.
    pub fn generate(now: Instant) -> Option<Identity> {
        let crypto = Arc::new(from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(certificate.clone());
        let mut rtc = config.build(now);
        let own = rtc.direct_api().local_dtls_fingerprint().clone();
        let fingerprint = Fingerprint { hash: own.hash_func, bytes: own.bytes };
        Some(Identity { certificate, crypto, fingerprint })
    }

    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// A leg.
pub struct WebRtc {
    rtc: Rtc,
    /// What the other side sends.
    tracks: Vec<Known>,
    /// Media section, source and retransmission source of what it gets.
    outputs: Vec<(StrMid, Ssrc, Option<Ssrc>)>,
    connected: bool,
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
        let mut rtc = configure(identity, spec).build(now);
        for address in here {
            let candidate = Candidate::host(*address, "udp");
            let candidate = candidate.map_err(|_| PeerError::Setup("an address of ours"))?;
            rtc.add_local_candidate(candidate);
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
        let mut leg = WebRtc { rtc, tracks: Vec::new(), outputs: Vec::new(), connected: false };
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
        match received(datagram) {
            Some(receive) => {
                let handled = self.rtc.handle_input(Input::Receive(now, receive));
                handled.map_err(|error| self.failed(&error))
            }
            None => Ok(()),
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), PeerError> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(|error| self.failed(&error))
    }

    fn poll(&mut self) -> Result<Polled, PeerError> {
        let output = self.rtc.poll_output().map_err(|error| self.failed(&error))?;
        Ok(match output {
            Output::Timeout(until) => Polled::Until(until),
            Output::Transmit(transmit) => Polled::Send {
                source: transmit.source,
                destination: transmit.destination,
                contents: transmit.contents.into(),
            },
            Output::Event(event) => self.event(event),
        })
    }

    fn restart(&mut self, local: &Credentials, remote: &Credentials) {
        let mut direct = self.rtc.direct_api();
        direct.set_local_ice_credentials(credentials(local));
        direct.set_remote_ice_credentials(credentials(remote));
    }

    fn add_track(&mut self, track: &TrackSpec) -> Result<(), PeerError> {
        // As it is read from header extensions.
        let mid = self.unused(StrMid::from(track.mid.as_str()))?;
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
        if let Some(place) = self.tracks.iter().position(|known| known.track == track) {
            let known = self.tracks.swap_remove(place);
            self.rtc.direct_api().remove_media(known.mid);
        }
    }

    fn add_output(&mut self, output: &OutputSpec) -> Result<(), PeerError> {
        let (source, rtx) = (Ssrc::from(output.source), output.rtx.map(Ssrc::from));
        let taken = self.outputs.iter().any(|(_, known, _)| *known == source);
        if taken {
            return Err(PeerError::Setup("a source twice"));
        }
        let mid = StrMid::from_array(padded(output.mid.as_str()));
        let goes_both_ways = self.tracks.iter().any(|known| known.mid == mid)
            && !self.outputs.iter().any(|(known, ..)| *known == mid);
        if !goes_both_ways {
            self.unused(mid)?;
            self.rtc.direct_api().declare_media(mid, kind(output.media));
        }
        let mut direct = self.rtc.direct_api();
        let stream = direct.declare_stream_tx(source, rtx, mid, None);
        let kept = match output.media {
            Media::Audio => KEPT_AUDIO,
            Media::Video => KEPT_VIDEO,
        };
        stream.set_rtx_cache(kept, KEPT_FOR, None);
        self.outputs.push((mid, source, rtx));
        Ok(())
    }

    fn remove_output(&mut self, source: u32) {
        let place = self.outputs.iter().position(|(_, known, _)| **known == source);
        if let Some(place) = place {
            let (mid, ..) = self.outputs.swap_remove(place);
            self.rtc.direct_api().remove_media(mid);
        }
    }

    fn request_keyframe(&mut self, track: TrackId, layer: usize) {
        let Some(known) = self.tracks.iter().find(|known| known.track == track) else { return };
        let (mid, rid) = (known.mid, known.layers.get(layer).copied());
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn write(&mut self, packet: Sending) {
        let values = ExtensionValues {
            audio_level: packet.marks.level,
            voice_activity: packet.marks.voice,
            video_orientation: packet.marks.orientation.map(VideoOrientation::from),
            ..ExtensionValues::default()
        };
        let patch = packet.vp8.and_then(|numbers| {
            let descriptor = Vp8Descriptor::parse(&packet.payload).ok()?;
            let mut patch = descriptor.patch().picture_id(numbers.picture);
            if descriptor.tl0_pic_idx().is_some() {
                patch = patch.tl0_pic_idx(numbers.base_layer);
            }
            patch.build().ok()
        });
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx(&packet.source.into()) else { return };
        let mut write = RtpWrite::new(
            packet.pt.into(),
            packet.seq.into(),
            packet.timestamp,
            packet.arrived,
            packet.payload,
        )
        .marker(packet.marker)
        .nackable(true)
        .ext_vals(values);
        if let Some(patch) = patch {
            write = write.vp8_patch(patch);
        }
        stream.write_rtp(write);
    }
}

impl WebRtc {
    /// For clients in tests: the engine itself never calls an address that it was only told of.
    #[cfg(test)]
    pub(crate) fn add_remote_candidate(&mut self, address: SocketAddr) {
        self.rtc.add_remote_candidate(Candidate::host(address, "udp").unwrap());
    }

    /// For clients in tests: a layer that is sent.
    #[cfg(test)]
    pub(crate) fn add_layer(&mut self, mid: &crate::api::Mid, layer: &Rid, source: u32) {
        let mid = StrMid::from_array(padded(mid.as_str()));
        let mut direct = self.rtc.direct_api();
        direct.declare_media(mid, MediaKind::Video);
        direct.declare_stream_tx(source.into(), None, mid, Some(rid(layer)));
    }

    fn event(&mut self, event: Event) -> Polled {
        match event {
            Event::Connected => {
                self.connected = true;
                Polled::Connected
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Polled::Lost,
            Event::IceConnectionStateChange(state) if state.is_connected() => Polled::Found,
            Event::RtpPacket(packet) => self.packet(packet).map_or(Polled::Nothing, Polled::Packet),
            Event::KeyframeRequest(request) => {
                let output = self.outputs.iter().find(|(mid, ..)| *mid == request.mid);
                output.map_or(Polled::Nothing, |(_, source, _)| Polled::KeyframeWanted(**source))
            }
            Event::Closed => Polled::Closed,
            _ => Polled::Nothing,
        }
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

fn configure(identity: &Identity, spec: &LegSpec) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    for (id, uri) in &spec.extensions {
        if let Some(extension) = extension(uri) {
            extensions.set(*id, extension);
        }
    }
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_crypto_provider(Arc::clone(&identity.crypto))
        .set_dtls_cert(identity.certificate.clone())
        .set_local_ice_credentials(credentials(&spec.local))
        .set_extension_map(extensions)
        .clear_codecs();
    for payload in &spec.payloads {
        add_payload(&mut config, payload);
    }
    config
}

/// What the sender says of its format is between the clients; here it is only named.
fn add_payload(config: &mut RtcConfig, payload: &Payload) {
    let (codec, clock, channels) = match payload.codec {
        Codec::Opus => (StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2)),
        Codec::Vp8 => (StrCodec::Vp8, Frequency::NINETY_KHZ, None),
        Codec::Vp9 => (StrCodec::Vp9, Frequency::NINETY_KHZ, None),
        Codec::H264 => (StrCodec::H264, Frequency::NINETY_KHZ, None),
        Codec::Av1 => (StrCodec::Av1, Frequency::NINETY_KHZ, None),
    };
    let (pt, rtx) = (Pt::from(payload.pt), payload.rtx.map(Pt::from));
    config.codec_config().add_config(pt, rtx, codec, clock, channels, FormatParams::default());
}

pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub const SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
pub const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
pub const ORIENTATION: &str = "urn:3gpp:video-orientation";

fn extension(uri: &str) -> Option<Extension> {
    Some(match uri {
        AUDIO_LEVEL => Extension::AudioLevel,
        SEND_TIME => Extension::AbsoluteSendTime,
        TRANSPORT_CC => Extension::TransportSequenceNumber,
        MID => Extension::RtpMid,
        RID => Extension::RtpStreamId,
        REPAIRED_RID => Extension::RepairedRtpStreamId,
        ORIENTATION => Extension::VideoOrientation,
        _ => return None,
    })
}

fn received<'a>(datagram: &Datagram<'a>) -> Option<Receive<'a>> {
    let Datagram { source, destination, contents } = *datagram;
    Receive::new(Protocol::Udp, source, destination, contents).ok()
}

fn credentials(from: &Credentials) -> IceCreds {
    IceCreds { ufrag: from.ufrag.clone(), pass: from.password.clone() }
}

fn kind(media: Media) -> MediaKind {
    match media {
        Media::Audio => MediaKind::Audio,
        Media::Video => MediaKind::Video,
    }
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
