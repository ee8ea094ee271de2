//! What a leg is set up with: codecs, header extensions and whether its network is looked at.

use std::sync::Arc;
use std::time::Duration;

use str0m::RtcConfig;
use str0m::bwe::Bitrate;
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Frequency, Pt};
use str0m::rtp::{Extension, ExtensionMap};

use super::data::MAX_MESSAGE;
use super::webrtc::{Identity, credentials};
use crate::api::{Codec, LegSpec, Payload};

/// What a network is believed to carry before anything is known of it.
pub const FIRST_ESTIMATE: Bitrate = Bitrate::kbps(1500);
/// How often figures are gathered.
const GATHER_EVERY: Duration = Duration::from_secs(2);

pub fn configure(identity: &Identity, spec: &LegSpec) -> RtcConfig {
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
        .set_stats_interval(Some(GATHER_EVERY))
        .set_sctp_max_message_size(MAX_MESSAGE as u32)
        .enable_bwe(is_estimated(spec).then_some(FIRST_ESTIMATE))
        .clear_codecs();
    for payload in &spec.payloads {
        add_payload(&mut config, payload);
    }
    config
}

/// Estimation doubles the cost of a packet. So it is for clients that only receive on a leg and that
/// report on each packet, which the signalling agrees on where there are layers to choose from.
pub fn is_estimated(spec: &LegSpec) -> bool {
    let reports = spec.extensions.iter().any(|(_, uri)| uri == TRANSPORT_CC);
    reports && spec.tracks.is_empty()
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
