//! What a leg is set up with: codecs, header extensions and whether its network is looked at.

use std::sync::Arc;
use std::time::Duration;

use str0m::RtcConfig;
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Frequency, Pt};
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues};

use super::data::MAX_MESSAGE;
use super::webrtc::{Identity, credentials};
use crate::api::{Codec, LegSpec, Payload};
use crate::egress::{
    AUDIO_LEVEL, DEPENDENCY, MID, ORIENTATION, REPAIRED_RID, RID, SEND_TIME, TRANSPORT_CC,
};

/// How often figures are gathered, and with them the way that is agreed on, should it have changed.
const GATHER_EVERY: Duration = Duration::from_secs(1);

/// A dependency descriptor as it came.
pub struct Descriptor(pub Arc<[u8]>);

/// Takes them out of headers: str0m does not know them. What is written is [`crate::egress`]'s.
#[derive(Debug)]
struct Descriptors;

impl ExtensionSerializer for Descriptors {
    fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
        0
    }

    fn parse_value(&self, octets: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(Descriptor(octets.into()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}

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
        .clear_codecs();
    for payload in &spec.payloads {
        add_payload(&mut config, payload);
    }
    config
}

/// Estimation has its cost. So it is for clients that only receive on a leg and that report on each
/// packet, which the signalling agrees on where there are layers to choose from.
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

fn extension(uri: &str) -> Option<Extension> {
    Some(match uri {
        AUDIO_LEVEL => Extension::AudioLevel,
        SEND_TIME => Extension::AbsoluteSendTime,
        TRANSPORT_CC => Extension::TransportSequenceNumber,
        MID => Extension::RtpMid,
        RID => Extension::RtpStreamId,
        REPAIRED_RID => Extension::RepairedRtpStreamId,
        ORIENTATION => Extension::VideoOrientation,
        DEPENDENCY => Extension::with_serializer(uri, Descriptors),
        _ => return None,
    })
}
