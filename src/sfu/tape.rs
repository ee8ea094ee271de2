//! What is recorded, on its way out of the engine: whoever writes it must not hold up who forwards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::api::{Codec, ConferenceId, TrackId};

/// Bytes that wait at most; they are fetched each time that the engine has worked.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A packet of a track that is recorded, numbered so that a change of layer cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taped {
    pub conference: ConferenceId,
    pub track: TrackId,
    pub codec: Codec,
    pub seq: u64,
    pub timestamp: u32,
    /// It ends a picture.
    pub marker: bool,
    pub arrived: Instant,
    /// By the clock of its sender, in microseconds since 1970, once he has told of it.
    pub captured: Option<i64>,
    pub payload: Arc<[u8]>,
}

impl Taped {
    /// Bytes that it takes: of silence the payload is the least.
    fn weight(&self) -> usize {
        size_of::<Taped>() + self.payload.len()
    }
}

#[derive(Default)]
pub struct Tape {
    waiting: VecDeque<Taped>,
    bytes: usize,
}

impl Tape {
    /// `false` when there is no room.
    pub fn push(&mut self, packet: Taped) -> bool {
        let length = packet.weight();
        if self.bytes + length > MAX_BYTES {
            return false;
        }
        self.bytes += length;
        self.waiting.push_back(packet);
        true
    }

    pub fn pop(&mut self) -> Option<Taped> {
        let packet = self.waiting.pop_front()?;
        self.bytes -= packet.weight();
        Some(packet)
    }
}
