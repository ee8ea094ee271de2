//! One source that is sent to a client.

use std::time::{Duration, Instant};

use super::clock::WallClock;
use super::header::Header;
use super::history::History;
use super::rtcp::{Reception, SenderReport};
use crate::api::{Media, Mid, Payload, Rid};
use crate::peer::{Marks, Sending};

pub struct Stream {
    pub source: u32,
    mid: Mid,
    rid: Option<Rid>,
    media: Media,
    repairs: Option<Repairs>,
    once: Once,
    /// For reports: they wrap.
    packets: u32,
    octets: u32,
    /// When the newest packet came, and its timestamp.
    newest: Option<(Instant, u32)>,
    has_news: bool,
    /// What the receiver last said of it.
    reception: Option<Reception>,
}

/// Retransmissions (RFC 4588).
struct Repairs {
    source: u32,
    history: History,
    seq: u64,
}

/// Which numbers have been used lately.
#[derive(Default)]
struct Once {
    highest: u64,
    /// The highest one and those below it, by their remainders.
    used: [u64; WORDS],
}

const WORDS: usize = 16;

impl Stream {
    pub fn new(source: u32, rtx: Option<u32>, media: Media, mid: Mid, rid: Option<Rid>) -> Stream {
        let repairs = rtx.map(|source| Repairs { source, seq: 0, history: History::default() });
        Stream {
            source,
            mid,
            rid,
            media,
            repairs,
            once: Once::default(),
            packets: 0,
            octets: 0,
            newest: None,
            has_news: false,
            reception: None,
        }
    }

    pub fn is_called(&self, mid: &Mid) -> bool {
        self.mid == *mid
    }

    /// Whether nothing was sent by this number before. Nothing may be sent by it again: a second packet
    /// under one number gives away the key that proves packets (RFC 7714, section 8.4).
    pub fn is_first(&mut self, seq: u64) -> bool {
        self.once.is_first(seq)
    }

    pub fn header<'a>(&'a self, packet: &'a Sending) -> Header<'a> {
        Header {
            pt: packet.pt,
            marker: packet.marker,
            seq: packet.seq as u16,
            timestamp: packet.timestamp,
            source: self.source,
            mid: &self.mid,
            rid: self.rid.as_ref(),
            is_repair: false,
            marks: self.marks(packet.marks),
            described: packet.described.as_deref(),
            send_time: 0,
            transport_seq: None,
        }
    }

    /// Those that its kind of media has.
    fn marks(&self, marks: Marks) -> Marks {
        match self.media {
            Media::Audio => Marks { orientation: None, ..marks },
            Media::Video => Marks { level: None, voice: None, ..marks },
        }
    }

    /// The header of a packet that is sent again.
    pub fn repaired<'a>(&self, header: Header<'a>, number: u64, known: &[Payload]) -> Header<'a> {
        let Some(repairs) = &self.repairs else { return header };
        let rtx = known.iter().find(|payload| payload.pt == header.pt).and_then(|known| known.rtx);
        Header {
            pt: rtx.unwrap_or(header.pt),
            seq: number as u16,
            source: repairs.source,
            is_repair: true,
            ..header
        }
    }

    /// A packet that the receiver has missed, and the number of its repair. `seq`: the low half of its
    /// own. `None` if there is none, or it was given a moment ago.
    pub fn repair(&mut self, seq: u16, now: Instant) -> Option<(Sending, u64)> {
        let repairs = self.repairs.as_mut()?;
        let number = repairs.history.number(seq)?;
        let packet = repairs.history.repeat(number, now)?.clone();
        Some((packet, repairs.next()))
    }

    /// The last packet once more, and the number of its repair.
    pub fn repeat_last(&mut self) -> Option<(Sending, u64)> {
        let repairs = self.repairs.as_mut()?;
        let packet = repairs.history.last()?.clone();
        Some((packet, repairs.next()))
    }

    /// It has been sent.
    pub fn sent(&mut self, packet: Sending, now: Instant) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        self.newest = Some((packet.arrived, packet.timestamp));
        self.has_news = true;
        if let Some(repairs) = &mut self.repairs {
            repairs.history.keep(packet, now);
        }
    }

    /// If something was sent since the last one.
    pub fn report(&mut self, wall: &WallClock, now: Instant) -> Option<SenderReport> {
        let (arrived, timestamp) = self.newest.filter(|_| self.has_news)?;
        self.has_news = false;
        let elapsed = now.saturating_duration_since(arrived).as_micros();
        let ticks = elapsed * u128::from(self.clock()) / 1_000_000;
        Some(SenderReport {
            source: self.source,
            ntp: wall.ntp(now),
            // Both wrap.
            timestamp: timestamp.wrapping_add(ticks as u32),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// Its receiver says how it comes.
    pub fn received(&mut self, reception: Reception) {
        self.reception = Some(reception);
    }

    /// The share of it that got lost lately, from 0 to 1.
    pub fn loss(&self) -> Option<f32> {
        self.reception.as_ref().map(|reception| f32::from(reception.fraction_lost) / 256.0)
    }

    pub fn jitter(&self) -> Option<Duration> {
        let ticks = self.reception.as_ref()?.jitter;
        Some(Duration::from_secs(u64::from(ticks)) / self.clock())
    }

    /// Of its timestamps, in Hz (RFC 7587, section 4.1; RFC 7741, section 4.1 and the like).
    fn clock(&self) -> u32 {
        match self.media {
            Media::Audio => 48_000,
            Media::Video => 90_000,
        }
    }
}

impl Repairs {
    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

impl Once {
    fn is_first(&mut self, number: u64) -> bool {
        let bits = u64::BITS as usize * WORDS;
        if number > self.highest {
            let skipped = number - self.highest;
            // Those between the two are not used.
            (0..skipped.min(bits as u64)).for_each(|back| self.set(number - back, false));
            self.highest = number;
        }
        if self.highest - number >= bits as u64 || self.get(number) {
            return false;
        }
        self.set(number, true);
        true
    }

    fn get(&self, number: u64) -> bool {
        self.used[number as usize / 64 % WORDS] >> (number % 64) & 1 == 1
    }

    fn set(&mut self, number: u64, used: bool) {
        let word = &mut self.used[number as usize / 64 % WORDS];
        *word = *word & !(1 << (number % 64)) | u64::from(used) << (number % 64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_used_once() {
        let mut once = Once::default();
        assert!(once.is_first(0x3fff) && !once.is_first(0x3fff));
        assert!(once.is_first(0x4001) && once.is_first(0x4000) && !once.is_first(0x4000));
        assert!(once.is_first(0x9000) && once.is_first(0x9000 - 1023));
        assert!(!once.is_first(0x9000 - 1024), "too long ago to know");
    }

    proptest! {
        #[test]
        fn whatever_the_order(numbers in proptest::collection::vec(0_u64..3000, 0..500)) {
            let (mut once, mut used) = (Once::default(), HashSet::new());
            for number in numbers {
                prop_assert!(!once.is_first(number) || used.insert(number));
            }
        }
    }
}
