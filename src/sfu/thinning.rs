//! Leaving out temporal layers so that the receiver sees no gap: which pictures pass, and how far
//! the numbers of what passes move back.

use std::collections::VecDeque;

use crate::peer::Packet;
use crate::peer::bitstream::Temporal;

/// All temporal layers.
pub const ALL: u8 = u8::MAX;
/// Pictures and gaps that are remembered for packets that come late.
const REMEMBERED: usize = 64;

/// Of one layer of one source, since its last beginning.
#[derive(Default)]
pub struct Thinning {
    /// The highest temporal layer that passes now; `None`: nothing was ever left out.
    temporal: Option<u8>,
    newest: Option<Newest>,
    pictures: VecDeque<Picture>,
    left_out: u16,
    cuts: VecDeque<Cut>,
    /// Packets left out before the first of the cuts.
    forgotten: u64,
}

#[derive(Clone, Copy)]
struct Newest {
    seq: u64,
    timestamp: u32,
}

#[derive(Clone, Copy)]
struct Picture {
    timestamp: u32,
    passes: bool,
    /// How many pictures were left out before it.
    before: u16,
}

/// From this number on so many packets were left out before.
struct Cut {
    from: u64,
    packets: u64,
}

/// How far numbers move back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    pub packets: u64,
    pub pictures: u16,
}

impl Thinning {
    /// `None` when the packet is to be left out because temporal layers above `allowed` are not sent.
    /// What changes does so between pictures.
    pub fn take(&mut self, packet: &Packet, temporal: Temporal, allowed: u8) -> Option<Shift> {
        let newest = self.newest;
        let is_newer = newest.is_none_or(|newest| packet.seq > newest.seq);
        if is_newer {
            self.newest = Some(Newest { seq: packet.seq, timestamp: packet.timestamp });
        }
        if self.temporal.is_none() {
            let begun = newest.is_some_and(|newest| newest.timestamp == packet.timestamp);
            if allowed == ALL || begun || !is_newer {
                return Some(Shift::default());
            }
            self.temporal = Some(allowed);
        }
        let known = self.pictures.iter().rev().find(|known| known.timestamp == packet.timestamp);
        let picture = match known.copied() {
            Some(picture) => picture,
            None if is_newer => self.next(packet, temporal, allowed),
            None => self.late(packet, temporal),
        };
        if !picture.passes {
            if is_newer {
                self.cut(packet.seq);
            }
            return None;
        }
        Some(Shift { packets: self.cut_before(packet.seq), pictures: picture.before })
    }

    fn next(&mut self, packet: &Packet, temporal: Temporal, allowed: u8) -> Picture {
        let passes = self.passes(temporal, allowed);
        let picture = Picture { timestamp: packet.timestamp, passes, before: self.left_out };
        if !passes {
            self.left_out = self.left_out.wrapping_add(1);
        }
        self.remember(picture);
        picture
    }

    /// What came after it was numbered as if it would pass: left out, it leaves a gap.
    fn late(&mut self, packet: &Packet, temporal: Temporal) -> Picture {
        let is_later = |known: &&Picture| {
            // Timestamps wrap.
            (1..1 << 31).contains(&known.timestamp.wrapping_sub(packet.timestamp))
        };
        let after = self.pictures.iter().find(is_later).map(|after| after.before);
        let picture = Picture {
            timestamp: packet.timestamp,
            passes: self.temporal.is_none_or(|highest| temporal.id <= highest),
            before: after.unwrap_or(self.left_out),
        };
        self.remember(picture);
        picture
    }

    /// Down at once; up where the codec says that it can be done.
    fn passes(&mut self, temporal: Temporal, allowed: u8) -> bool {
        let mut highest = self.temporal.unwrap_or(ALL).min(allowed);
        // One after the other: what joins may be needed by those above.
        if temporal.joins && temporal.id <= allowed && temporal.id == highest.saturating_add(1) {
            highest = temporal.id;
        }
        let passes = temporal.id <= highest;
        if passes && temporal.opens {
            highest = allowed;
        }
        self.temporal = Some(highest);
        passes
    }

    fn remember(&mut self, picture: Picture) {
        if self.pictures.len() == REMEMBERED {
            self.pictures.pop_front();
        }
        self.pictures.push_back(picture);
    }

    fn cut(&mut self, seq: u64) {
        let packets = self.cuts.back().map_or(self.forgotten, |cut| cut.packets) + 1;
        match self.cuts.back_mut() {
            Some(last) if last.from == seq => *last = Cut { from: seq + 1, packets },
            _ => self.cuts.push_back(Cut { from: seq + 1, packets }),
        }
        if self.cuts.len() > REMEMBERED
            && let Some(oldest) = self.cuts.pop_front()
        {
            self.forgotten = oldest.packets;
        }
    }

    fn cut_before(&self, seq: u64) -> u64 {
        let last = self.cuts.iter().rev().find(|cut| cut.from <= seq);
        last.map_or(self.forgotten, |cut| cut.packets)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::api::TrackId;
    use crate::peer::Marks;

    fn packet(seq: u64, picture: u32) -> Packet {
        Packet {
            track: TrackId(1),
            layer: 0,
            pt: 96,
            seq,
            timestamp: picture.wrapping_mul(3000).wrapping_sub(9000),
            marker: false,
            marks: Marks::default(),
            arrived: Instant::now(),
            captured: None,
            payload: [][..].into(),
        }
    }

    fn layer(id: u8) -> Temporal {
        Temporal { id, ..Temporal::default() }
    }

    fn shift(packets: u64, pictures: u16) -> Option<Shift> {
        Some(Shift { packets, pictures })
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let mut thinning = Thinning::default();
        let mut take =
            |seq, picture, id, allowed| thinning.take(&packet(seq, picture), layer(id), allowed);
        assert_eq!(take(10, 1, 0, ALL), shift(0, 0));
        assert_eq!(take(11, 2, 1, ALL), shift(0, 0));
        // A picture that has begun goes on.
        assert_eq!(take(12, 2, 1, 0), shift(0, 0));
        assert_eq!(take(13, 3, 0, 0), shift(0, 0));
        assert_eq!(take(14, 4, 1, 0), None);
        assert_eq!(take(15, 4, 1, 0), None);
        assert_eq!(take(16, 5, 0, 0), shift(2, 1));
        // Something of the picture before, late.
        assert_eq!(take(13, 3, 0, 0), shift(0, 0));
        // 18 and 19 come after 20: of a picture that passes and of one that does not.
        assert_eq!(take(17, 6, 1, 0), None);
        assert_eq!(take(20, 8, 0, 0), shift(3, 2));
        assert_eq!(take(18, 6, 1, 0), None);
        assert_eq!(take(19, 7, 0, 0), shift(3, 2));
    }

    #[test]
    fn more_is_sent_only_where_that_can_be_decoded() {
        let mut thinning = Thinning::default();
        let mut seq = 0;
        let mut passes = |temporal, allowed| {
            seq += 1;
            thinning.take(&packet(seq, seq as u32), temporal, allowed).is_some()
        };
        let joins = |id| Temporal { joins: true, ..layer(id) };
        let opens = |id| Temporal { opens: true, ..layer(id) };
        assert!(passes(layer(0), 0) && !passes(layer(1), 0) && !passes(joins(1), 0));
        assert!(!passes(layer(1), ALL));
        assert!(!passes(joins(2), ALL), "the layer below comes first");
        assert!(passes(joins(1), ALL) && passes(layer(1), ALL) && !passes(layer(2), ALL));
        assert!(passes(joins(2), ALL) && passes(layer(2), ALL));
        assert!(!passes(layer(1), 0) && passes(opens(0), 0) && !passes(layer(2), 0));
        assert!(passes(opens(0), ALL) && passes(layer(2), ALL));
    }

    proptest! {
        /// Pictures of up to three packets, of which some get lost or swap places.
        #[test]
        fn no_two_packets_get_one_number(
            pictures in proptest::collection::vec((0_u8..3, 1_usize..4, any::<bool>(), 0_u8..3), 1..200),
            swaps in proptest::collection::vec(0_usize..400, 0..40),
        ) {
            let mut packets = Vec::new();
            for (number, (id, count, joins, allowed)) in pictures.into_iter().enumerate() {
                let temporal = Temporal { joins, ..layer(id) };
                for _ in 0..count {
                    packets.push((packet(packets.len() as u64 + 1000, number as u32), temporal, allowed));
                }
            }
            for place in swaps {
                if place + 1 < packets.len() {
                    packets.swap(place, place + 1);
                }
            }
            let mut thinning = Thinning::default();
            let mut numbers = std::collections::HashSet::new();
            for (packet, temporal, allowed) in packets {
                if let Some(shift) = thinning.take(&packet, temporal, allowed) {
                    prop_assert!(numbers.insert(packet.seq - shift.packets));
                } else {
                    prop_assert!(temporal.id > 0);
                }
            }
        }
    }
}
