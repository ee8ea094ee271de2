//! Leaving out temporal and spatial layers so that the receiver sees no gap: which pictures pass and
//! what of them, and how far the numbers of what passes move back.

use std::collections::VecDeque;

use crate::peer::Packet;
use crate::peer::bitstream::{Header, Temporal};

/// All temporal layers, or all spatial ones.
pub const ALL: u8 = u8::MAX;
/// Pictures and gaps that are remembered for packets that come late.
const REMEMBERED: usize = 64;

/// The highest layers of a layer of simulcast that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highest {
    pub spatial: u8,
    pub temporal: u8,
}

impl Highest {
    pub const ALL: Highest = Highest { spatial: ALL, temporal: ALL };
    /// What can be decoded without all the others.
    pub const BASE: Highest = Highest { spatial: 0, temporal: 0 };
}

/// Of one layer of one source, since its last beginning.
#[derive(Default)]
pub struct Thinning {
    /// What passes now; `None`: nothing was ever left out.
    highest: Option<Highest>,
    /// More spatial layers may pass, but not before a picture that stands alone.
    waits: bool,
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
    /// The highest layer of it that passes.
    spatial: u8,
    /// How many pictures were left out before it.
    before: u16,
}

/// From this number on so many packets were left out before.
struct Cut {
    from: u64,
    packets: u64,
}

/// What becomes of a packet that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// How far its numbers move back.
    pub packets: u64,
    pub pictures: u16,
    /// It is the last one of its picture now.
    pub ends: bool,
}

impl Thinning {
    /// `None` when the packet is to be left out because layers above `allowed` are not sent. What
    /// changes does so between pictures.
    pub fn take(&mut self, packet: &Packet, header: &Header, allowed: Highest) -> Option<Shift> {
        let newest = self.newest;
        let is_newer = newest.is_none_or(|newest| packet.seq > newest.seq);
        if is_newer {
            self.newest = Some(Newest { seq: packet.seq, timestamp: packet.timestamp });
        }
        if self.highest.is_none() {
            let begun = newest.is_some_and(|newest| newest.timestamp == packet.timestamp);
            if allowed == Highest::ALL || begun || !is_newer {
                return Some(Shift::default());
            }
            self.highest = Some(allowed);
        }
        let known = self.pictures.iter().rev().find(|known| known.timestamp == packet.timestamp);
        let picture = match known.copied() {
            Some(picture) => picture,
            None if is_newer => self.next(packet, header, allowed),
            None => self.late(packet, header),
        };
        if !picture.passes || header.spatial.id > picture.spatial {
            if is_newer {
                self.cut(packet.seq);
            }
            return None;
        }
        Some(Shift {
            packets: self.cut_before(packet.seq),
            pictures: picture.before,
            ends: header.spatial.ends && header.spatial.id == picture.spatial,
        })
    }

    /// Whether more spatial layers may pass than do, for want of a picture that stands alone.
    pub fn waits(&self) -> bool {
        self.waits
    }

    fn next(&mut self, packet: &Packet, header: &Header, allowed: Highest) -> Picture {
        let before = self.highest.unwrap_or(Highest::ALL);
        let (passes, temporal) = passes(header.temporal, before.temporal, allowed.temporal);
        let spatial = match header.spatial.opens {
            true => allowed.spatial,
            false => before.spatial.min(allowed.spatial),
        };
        self.waits = spatial < allowed.spatial;
        self.highest = Some(Highest { spatial, temporal });
        let picture =
            Picture { timestamp: packet.timestamp, passes, spatial, before: self.left_out };
        if !passes {
            self.left_out = self.left_out.wrapping_add(1);
        }
        self.remember(picture);
        picture
    }

    /// What came after it was numbered as if it would pass: left out, it leaves a gap.
    fn late(&mut self, packet: &Packet, header: &Header) -> Picture {
        let is_later = |known: &&Picture| {
            // Timestamps wrap.
            (1..1 << 31).contains(&known.timestamp.wrapping_sub(packet.timestamp))
        };
        let after = self.pictures.iter().find(is_later).map(|after| after.before);
        let highest = self.highest.unwrap_or(Highest::ALL);
        let picture = Picture {
            timestamp: packet.timestamp,
            passes: header.temporal.id <= highest.temporal,
            spatial: highest.spatial,
            before: after.unwrap_or(self.left_out),
        };
        self.remember(picture);
        picture
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

/// Whether a picture passes, and the highest temporal layer that passes after it: down at once, up
/// where the codec says that it can be done.
fn passes(temporal: Temporal, before: u8, allowed: u8) -> (bool, u8) {
    let mut highest = before.min(allowed);
    // One after the other: what joins may be needed by those above.
    if temporal.joins && temporal.id <= allowed && temporal.id == highest.saturating_add(1) {
        highest = temporal.id;
    }
    let passes = temporal.id <= highest;
    if passes && temporal.opens {
        highest = allowed;
    }
    (passes, highest)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::api::TrackId;
    use crate::peer::Marks;
    use crate::peer::bitstream::Spatial;

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

    fn of(temporal: Temporal) -> Header {
        Header { temporal, ..Header::default() }
    }

    fn temporal(highest: u8) -> Highest {
        Highest { temporal: highest, ..Highest::ALL }
    }

    fn shift(packets: u64, pictures: u16) -> Option<Shift> {
        Some(Shift { packets, pictures, ends: false })
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let mut thinning = Thinning::default();
        let mut take = |seq, picture, id, allowed| {
            thinning.take(&packet(seq, picture), &of(layer(id)), temporal(allowed))
        };
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
        let mut passes = |layer, allowed| {
            seq += 1;
            thinning.take(&packet(seq, seq as u32), &of(layer), temporal(allowed)).is_some()
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

    /// A packet of a spatial layer that is all that a picture has of it.
    fn frame(id: u8, opens: bool) -> Header {
        Header { spatial: Spatial { id, opens, ends: true }, ..Header::default() }
    }

    #[test]
    fn spatial_layers_are_left_out_of_each_picture() {
        let mut thinning = Thinning::default();
        let mut seq = 0;
        // What becomes of the three layers of the next picture: whether they pass, and end it.
        let mut picture = |alone: bool, highest: u8| {
            let allowed = Highest { spatial: highest, ..Highest::ALL };
            let taken = [0, 1, 2].map(|id| {
                seq += 1;
                let packet = packet(seq, (seq as u32 - 1) / 3);
                let shift = thinning.take(&packet, &frame(id, alone), allowed);
                shift.map(|shift| (seq - shift.packets, shift.ends))
            });
            (taken, thinning.waits())
        };
        let (none, all) = (None::<(u64, bool)>, ALL);
        assert_eq!(picture(true, all).0, [Some((1, false)), Some((2, false)), Some((3, false))]);
        // The upper ones go at once, and the last one that is left ends the picture.
        assert_eq!(picture(false, 1), ([Some((4, false)), Some((5, true)), none], false));
        assert_eq!(picture(false, 0), ([Some((6, true)), none, none], false));
        // They come back with a picture that stands alone.
        assert_eq!(picture(false, 1), ([Some((7, true)), none, none], true));
        assert_eq!(picture(true, 1), ([Some((8, false)), Some((9, true)), none], false));
        assert_eq!(picture(false, all), ([Some((10, false)), Some((11, true)), none], true));
        let whole = [Some((12, false)), Some((13, false)), Some((14, false))];
        assert_eq!(picture(true, all), (whole, false));
    }

    #[test]
    fn where_there_are_no_spatial_layers_nothing_is_waited_for() {
        let mut thinning = Thinning::default();
        for (seq, allowed) in (1..).zip([Highest::ALL, Highest::BASE, Highest::ALL, Highest::ALL]) {
            let packet = packet(seq, seq as u32);
            assert!(thinning.take(&packet, &of(layer(0)), allowed).is_some() && !thinning.waits());
        }
    }

    proptest! {
        /// Pictures of up to three packets, of which some get lost or swap places.
        #[test]
        fn no_two_packets_get_one_number(
            pictures in proptest::collection::vec(
                (0_u8..3, 1_u8..4, any::<bool>(), 0_u8..3, 0_u8..3),
                1..200,
            ),
            swaps in proptest::collection::vec(0_usize..400, 0..40),
        ) {
            let mut packets = Vec::new();
            for (number, (id, count, joins, temporal, spatial)) in pictures.into_iter().enumerate() {
                let allowed = Highest { spatial, temporal };
                for place in 0..count {
                    let header = Header {
                        temporal: Temporal { joins, ..layer(id) },
                        ..frame(place, joins)
                    };
                    let packet = packet(packets.len() as u64 + 1000, number as u32);
                    packets.push((packet, header, allowed));
                }
            }
            for place in swaps {
                if place + 1 < packets.len() {
                    packets.swap(place, place + 1);
                }
            }
            let mut thinning = Thinning::default();
            let mut numbers = std::collections::HashSet::new();
            for (packet, header, allowed) in packets {
                if let Some(shift) = thinning.take(&packet, &header, allowed) {
                    prop_assert!(numbers.insert(packet.seq - shift.packets));
                } else {
                    prop_assert!(header.temporal.id > 0 || header.spatial.id > 0);
                }
            }
        }
    }
}
