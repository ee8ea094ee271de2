//! What one participant says, in the order and at the pace in which it was said.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ropus::{Channels, DecodeMode, Decoder};

use super::sound::{Frame, RATE, SAMPLES, energy};
use crate::api::LegId;
use crate::peer::Packet;

/// How long the first packet of an utterance waits, so that later ones may take longer.
const DELAY: Duration = Duration::from_millis(60);
/// Packets that wait at most: more of them are a delay that nobody wants.
const MAX_WAITING: usize = 12;
/// Packets that are lost in a row and made up; a larger gap is a new beginning.
const MAX_LOST: u64 = 5;
/// Frames that are made up while nothing comes.
const MAX_MADE_UP: u32 = 5;
/// 120 ms, the longest packet (RFC 6716, section 3.2.5).
const MAX_SAMPLES: usize = 5760;
/// How much of its loudness is left of a source after 20 ms of silence: syllables belong together.
const FADING: f32 = 0.95;

pub struct Source {
    sender: LegId,
    decoder: Decoder,
    /// By sequence number.
    waiting: BTreeMap<u64, Packet>,
    /// The sequence number to be heard next, in the middle of an utterance.
    next: Option<u64>,
    decoded: VecDeque<i16>,
    /// Samples of the last packet.
    length: usize,
    made_up: u32,
    loudness: f32,
}

impl Source {
    pub fn new(sender: LegId) -> Option<Source> {
        Some(Source {
            sender,
            decoder: decoder()?,
            waiting: BTreeMap::new(),
            next: None,
            decoded: VecDeque::new(),
            length: SAMPLES,
            made_up: 0,
            loudness: 0.0,
        })
    }

    pub fn sender(&self) -> LegId {
        self.sender
    }

    pub fn loudness(&self) -> f32 {
        self.loudness
    }

    pub fn handle_packet(&mut self, packet: &Packet) {
        if self.next.is_some_and(|next| packet.seq < next) {
            return;
        }
        self.waiting.insert(packet.seq, packet.clone());
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            self.next = self.waiting.keys().next().copied().filter(|_| self.next.is_some());
        }
    }

    /// The next 20 ms; `None` while nothing is said.
    pub fn frame(&mut self, now: Instant) -> Option<Frame> {
        while self.decoded.len() < SAMPLES {
            if !self.advance(now) {
                // What is left is less than a frame; it would be heard at the wrong time.
                self.decoded.clear();
                self.loudness *= FADING;
                return None;
            }
        }
        let mut frame = [0; SAMPLES];
        for (to, from) in frame.iter_mut().zip(self.decoded.drain(..SAMPLES)) {
            *to = from;
        }
        self.loudness = energy(&frame).max(self.loudness * FADING);
        Some(frame)
    }

    /// Decodes or makes up the next packet. `false` when there is none to be heard now.
    fn advance(&mut self, now: Instant) -> bool {
        let Some((first, arrived)) = self.first() else { return self.starve() };
        let next = match self.next {
            Some(next) if first <= next + MAX_LOST => next,
            Some(_) => first,
            None if arrived + DELAY <= now => first,
            None => return false,
        };
        self.next = Some(next + 1);
        self.made_up = 0;
        match self.waiting.remove(&next) {
            Some(packet) => self.decode(&packet.payload, DecodeMode::Normal, MAX_SAMPLES),
            None => self.conceal(next + 1),
        }
        true
    }

    fn first(&self) -> Option<(u64, Instant)> {
        self.waiting.first_key_value().map(|(seq, packet)| (*seq, packet.arrived))
    }

    /// Nothing comes: somebody pauses, or the network does.
    fn starve(&mut self) -> bool {
        if self.next.is_none() || self.made_up == MAX_MADE_UP {
            self.next = None;
            self.made_up = 0;
            return false;
        }
        self.made_up += 1;
        self.decode(&[], DecodeMode::Normal, self.length);
        true
    }

    /// A packet is lost. The one after it may tell what was in it (RFC 6716, section 2.1.7).
    fn conceal(&mut self, following: u64) {
        match self.waiting.get(&following).map(|packet| packet.payload.clone()) {
            Some(payload) => self.decode(&payload, DecodeMode::Fec, self.length),
            None => self.decode(&[], DecodeMode::Normal, self.length),
        }
    }

    /// What cannot be decoded is not heard.
    fn decode(&mut self, payload: &[u8], mode: DecodeMode, most: usize) {
        let mut samples = [0; MAX_SAMPLES];
        let work = || self.decoder.decode(payload, &mut samples[..most], mode);
        // The decoder reads what strangers made.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(count)) if count > 0 => {
                self.length = count;
                self.decoded.extend(&samples[..count]);
            }
            Ok(_) => self.decoded.extend(std::iter::repeat_n(0, SAMPLES)),
            Err(_) => {
                tracing::error!(leg = self.sender.0, "the decoder of a voice panicked");
                if let Some(decoder) = decoder() {
                    self.decoder = decoder;
                }
                self.decoded.extend(std::iter::repeat_n(0, SAMPLES));
            }
        }
    }
}

fn decoder() -> Option<Decoder> {
    Decoder::new(RATE, Channels::Mono).ok()
}
