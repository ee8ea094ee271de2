//! Opus as files hold it (RFC 7845).

pub const RATE: u32 = 48_000;
/// RTP says two, whatever is in a packet (RFC 7587, section 7); so decoders give both.
pub const CHANNELS: u8 = 2;

/// The head of a stream (section 5.1).
pub fn head() -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(CHANNELS);
    // Nothing is skipped: what was recorded has no beginning.
    head.extend(0_u16.to_le_bytes());
    head.extend(RATE.to_le_bytes());
    // No gain, and one stream.
    head.extend([0, 0, 0]);
    head
}

/// Section 5.2.
pub fn tags() -> Vec<u8> {
    let vendor = b"Wello";
    let mut tags = b"OpusTags".to_vec();
    tags.extend((vendor.len() as u32).to_le_bytes());
    tags.extend(vendor);
    tags.extend(0_u32.to_le_bytes());
    tags
}

/// Samples of a packet; none of what is no packet.
pub fn samples(packet: &[u8]) -> u32 {
    crate::ptt::opus_samples(packet).unwrap_or_default()
}
