//! A mix on its way to one listener.

use std::time::Instant;

use ropus::{Application, Bitrate, Channels, Encoder, InbandFec};

use super::PAYLOAD;
use super::sound::{Frame, RATE, SAMPLES};
use crate::api::TrackId;
use crate::peer::{Marks, Packet};

/// Bits per second: speech of several people in full quality.
const BITRATE: u32 = 40_000;
/// Of 10; more is hardly heard and costs twice as much.
const COMPLEXITY: u8 = 5;
/// Percent for which redundancy is sent along.
const EXPECTED_LOSS: u8 = 5;
/// Bytes of the largest packet (RFC 6716, section 3.4).
const MAX_PACKET: usize = 1275;
/// A packet that is not longer says that nothing is to be heard, and need not be sent
/// (RFC 7587, section 3.1.3).
const NOTHING: usize = 2;

pub struct Voice {
    encoder: Encoder,
    seq: u64,
    timestamp: u32,
    /// Nothing was sent of the last frame.
    paused: bool,
}

/// Encoded sound with its numbers.
pub struct Said {
    seq: u64,
    timestamp: u32,
    begins: bool,
    payload: Vec<u8>,
}

impl Voice {
    pub fn new() -> Option<Voice> {
        let encoder = Encoder::builder(RATE, Channels::Mono, Application::Voip)
            .bitrate(Bitrate::Bits(BITRATE))
            .complexity(COMPLEXITY)
            .inband_fec(InbandFec::Enabled)
            .packet_loss_perc(EXPECTED_LOSS)
            .dtx(true)
            .build()
            .ok()?;
        Some(Voice { encoder, seq: 0, timestamp: 0, paused: true })
    }

    /// `None` when there is nothing to be heard.
    pub fn say(&mut self, frame: &Frame) -> Option<Said> {
        let mut payload = vec![0; MAX_PACKET];
        let length = self.encoder.encode(frame, &mut payload).unwrap_or_default();
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(SAMPLES as u32);
        if length <= NOTHING {
            self.paused = true;
            return None;
        }
        payload.truncate(length);
        self.seq += 1;
        let begins = std::mem::replace(&mut self.paused, false);
        Some(Said { seq: self.seq, timestamp, begins, payload })
    }
}

impl Said {
    pub fn packet(self, track: TrackId, now: Instant) -> Packet {
        Packet {
            track,
            layer: 0,
            pt: PAYLOAD.pt,
            seq: self.seq,
            timestamp: self.timestamp,
            // RFC 7587, section 4.1: after a pause.
            marker: self.begins,
            marks: Marks::default(),
            arrived: now,
            captured: None,
            payload: self.payload.into(),
            descriptor: None,
        }
    }
}
