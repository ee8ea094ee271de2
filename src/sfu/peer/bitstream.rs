//! The little that a forwarder reads of what it forwards.

use str0m::format::{
    detect_av1_keyframe, detect_h264_keyframe, detect_vp8_keyframe, detect_vp9_keyframe,
};
use str0m::rtp::Vp8Descriptor;

use crate::api::Codec;

/// Whether a receiver can begin with this packet.
pub fn begins(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => detect_vp8_keyframe(payload),
        Codec::Vp9 => detect_vp9_keyframe(payload),
        Codec::H264 => detect_h264_keyframe(payload),
        Codec::Av1 => detect_av1_keyframe(payload),
    }
}

/// What numbers the pictures of VP8 (RFC 7741, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Numbers {
    pub picture: u16,
    pub base_layer: u8,
}

/// `None` when there are none.
pub fn vp8_numbers(payload: &[u8]) -> Option<Vp8Numbers> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let picture = descriptor.picture_id()?;
    Some(Vp8Numbers { picture, base_layer: descriptor.tl0_pic_idx().unwrap_or_default() })
}
