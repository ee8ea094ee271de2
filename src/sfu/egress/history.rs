//! What was sent lately, in case a receiver asks for it again (RFC 4585, section 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::peer::Sending;

/// A second of good video.
const MOST: usize = 512;
/// How long it may be asked for.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// Whoever asks twice within this has asked before the first answer can have come.
const ANSWER_AFTER: Duration = Duration::from_millis(10);
/// Octets that may be sent again at once, and for each so many octets that were sent one more.
const BURST: usize = 256 * 1024;
const SHARE: usize = 2;

/// Of one source, in the order of its numbers.
#[derive(Default)]
pub struct History {
    kept: VecDeque<Kept>,
    /// Octets that have been sent again of those that may be.
    spent: usize,
}

struct Kept {
    packet: Sending,
    sent: Instant,
    repeated: Option<Instant>,
}

impl History {
    pub fn keep(&mut self, packet: Sending, now: Instant) {
        self.spent = self.spent.saturating_sub(packet.payload.len() / SHARE);
        let old = |kept: &Kept| now.saturating_duration_since(kept.sent) > KEPT_FOR;
        while self.kept.len() >= MOST || self.kept.front().is_some_and(old) {
            self.kept.pop_front();
        }
        // Few come late, and not by much.
        let later = self.kept.iter().rev().take_while(|kept| kept.packet.seq > packet.seq).count();
        let place = self.kept.len() - later;
        self.kept.insert(place, Kept { packet, sent: now, repeated: None });
    }

    /// The whole number of a packet of which the receiver knows the low half.
    pub fn number(&self, seq: u16) -> Option<u64> {
        let last = self.kept.back()?.packet.seq;
        last.checked_sub(u64::from((last as u16).wrapping_sub(seq)))
    }

    /// A packet that is to be sent again. `None` when it is not there any more, was sent a moment ago,
    /// or too much is asked for.
    pub fn repeat(&mut self, seq: u64, now: Instant) -> Option<&Sending> {
        let place = self.kept.binary_search_by_key(&seq, |kept| kept.packet.seq).ok()?;
        let kept = &mut self.kept[place];
        let before = kept.repeated.unwrap_or(kept.sent);
        let octets = kept.packet.payload.len();
        if now.saturating_duration_since(before) < ANSWER_AFTER || self.spent + octets > BURST {
            return None;
        }
        self.spent += octets;
        kept.repeated = Some(now);
        Some(&kept.packet)
    }

    /// The last packet of all, which may be sent again to fill the way.
    pub fn last(&self) -> Option<&Sending> {
        self.kept.back().map(|kept| &kept.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Marks;

    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn begin() -> Instant {
        Instant::now()
    }

    fn packet(seq: u64, size: usize, now: Instant) -> Sending {
        Sending {
            source: 1,
            pt: 96,
            seq,
            timestamp: 0,
            marker: false,
            marks: Marks::default(),
            arrived: now,
            payload: vec![0; size].into(),
            vp8: None,
            described: None,
        }
    }

    #[test]
    fn what_was_sent_is_found_by_the_low_half_of_its_number() {
        let mut now = begin();
        let mut history = History::default();
        for seq in [65_534, 65_535, 65_537, 65_536, 65_538] {
            history.keep(packet(seq, 100, now), now);
        }
        now += ANSWER_AFTER;
        for (asked, number) in [(65_534, 65_534), (65_535, 65_535), (0, 65_536), (2, 65_538)] {
            assert_eq!(history.number(asked), Some(number));
            assert_eq!(history.repeat(number, now).map(|packet| packet.seq), Some(number));
        }
        assert!(history.repeat(65_539, now).is_none());
        assert!(history.repeat(65_538, now).is_none(), "it is on its way");
        now += ANSWER_AFTER;
        assert!(history.repeat(65_538, now).is_some());
        assert_eq!(history.number(3), Some(65_538 - 65_535));
    }

    #[test]
    fn it_has_bounds() {
        let mut now = begin();
        let mut history = History::default();
        (0..2000).for_each(|seq| history.keep(packet(seq, 1000, now), now));
        assert_eq!(history.kept.len(), MOST);
        now += KEPT_FOR + Duration::from_millis(1);
        history.keep(packet(2000, 1000, now), now);
        assert_eq!(history.kept.len(), 1);
    }

    #[test]
    fn who_asks_for_everything_does_not_get_it() {
        let mut now = begin();
        let mut history = History::default();
        (0..100).for_each(|seq| history.keep(packet(seq, 1000, now), now));
        let mut given = 0;
        for _ in 0..100 {
            now += ANSWER_AFTER;
            given += (0..100).filter(|seq| history.repeat(*seq, now).is_some()).count();
        }
        assert_eq!(given, BURST / 1000);
        history.keep(packet(100, 2000, now), now);
        now += ANSWER_AFTER;
        assert!(history.repeat(1, now).is_some());
    }
}
