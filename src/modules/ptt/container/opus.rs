//! Opus packets (RFC 6716) and their header (RFC 7845, section 5.1).

use std::time::Duration;

use super::BadRecording;

/// Opus counts in this rate, whatever was recorded.
pub(crate) const RATE: u32 = 48_000;
/// RFC 6716, section 3.2.5: 120 ms.
const MAX_PACKET_SAMPLES: u32 = 5760;

/// A track without its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpusTrack {
    /// 1 or 2.
    pub(crate) channels: u8,
    /// Samples at the start that are not played.
    pub(crate) pre_skip: u16,
    /// Of what was recorded; for information.
    pub(crate) input_rate: u32,
    /// In 1/256 dB.
    pub(crate) gain: i16,
    pub(crate) packets: Vec<Vec<u8>>,
}

impl OpusTrack {
    /// From the content of an `OpusHead`.
    pub(super) fn from_head(head: &[u8]) -> Result<OpusTrack, BadRecording> {
        let rest = head.strip_prefix(b"OpusHead").ok_or(BadRecording::NoAudio)?;
        let [version, channels, skip0, skip1, r0, r1, r2, r3, gain0, gain1, family, ..] = *rest
        else {
            return Err(BadRecording::Damaged);
        };
        // Other mapping families have several streams in one, for more than two channels.
        if version > 15 || !(1..=2).contains(&channels) || family != 0 {
            return Err(BadRecording::Unsupported);
        }
        Ok(OpusTrack {
            channels,
            pre_skip: u16::from_le_bytes([skip0, skip1]),
            input_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([gain0, gain1]),
            packets: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, packet: &[u8]) -> Result<(), BadRecording> {
        samples(packet).ok_or(BadRecording::Damaged)?;
        self.packets.push(packet.to_vec());
        Ok(())
    }

    /// Samples of each packet.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u32> {
        // Every packet was looked at when it came in.
        self.packets.iter().map(|packet| samples(packet).unwrap_or_default())
    }

    pub(super) fn samples(&self) -> u64 {
        self.lengths().map(u64::from).sum()
    }

    pub(crate) fn duration(&self) -> Duration {
        let played = self.samples().saturating_sub(u64::from(self.pre_skip));
        Duration::from_micros(played * 1_000_000 / u64::from(RATE))
    }
}

/// Samples of a packet at 48 kHz (RFC 6716, section 3.1); `None` if it is none.
pub(crate) fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][config as usize & 3],
        12..=15 => [480, 960][config as usize & 1],
        _ => 120 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 63),
    };
    let samples = frame * frames;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(samples)
}
