use std::time::{Duration, Instant};

use crate::Outgoing;

/// How long a packet waits in the narrowest place before it is thrown away.
const MOST_QUEUED: Duration = Duration::from_millis(250);
const WAY: Duration = Duration::from_millis(15);

/// The way to a client: what it carries, and what becomes of the rest. One seed, one fate.
pub struct Link {
    /// Bit/s.
    pub rate: u64,
    /// Of a hundred packets, so many get lost and so many are overtaken.
    pub lost: u64,
    pub overtaken: u64,
    dice: u64,
    free: Option<Instant>,
    under_way: Vec<(Instant, Outgoing)>,
}

impl Link {
    pub fn new(rate: u64, seed: u64) -> Link {
        Link { rate, lost: 0, overtaken: 0, dice: seed, free: None, under_way: Vec::new() }
    }

    pub fn send(&mut self, outgoing: Outgoing, now: Instant) {
        let begins = self.free.map_or(now, |free| free.max(now));
        if begins > now + MOST_QUEUED || self.chance() < self.lost {
            return;
        }
        let bits = outgoing.contents.len() as u64 * 8;
        let through = begins + Duration::from_micros(bits * 1_000_000 / self.rate);
        self.free = Some(through);
        let late = if self.chance() < self.overtaken { WAY } else { Duration::ZERO };
        self.under_way.push((through + WAY + late, outgoing));
    }

    /// What has come by now, in order, and when.
    pub fn arrived(&mut self, now: Instant) -> Vec<(Instant, Outgoing)> {
        self.under_way.sort_by_key(|(at, _)| *at);
        let count = self.under_way.partition_point(|(at, _)| *at <= now);
        self.under_way.drain(..count).collect()
    }

    /// Xorshift: 0 to 99.
    fn chance(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % 100
    }
}
