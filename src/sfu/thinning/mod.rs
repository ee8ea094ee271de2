//! Leaving out temporal and spatial layers so that the receiver sees no gap: which pictures pass and
//! what of them, and how far the numbers of what passes move back.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::peer::Packet;
use crate::peer::bitstream::{Header, Temporal};
use crate::peer::dependency::{Frame, Layers};

/// All temporal layers, or all spatial ones.
pub const ALL: u8 = u8::MAX;
/// Pictures and gaps that are remembered for packets that come late.
const REMEMBERED: usize = 64;
/// Spatial layers that are told apart.
const SPATIAL: usize = 4;

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
    passing: Option<Passing>,
    /// More spatial layers may pass, but not before a picture that stands alone.
    waits: bool,
    /// The receiver was told that it does not get all.
    told: bool,
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

/// The highest layers that pass now.
struct Passing {
    /// Of the newest picture, at the time of which this was allowed.
    timestamp: Option<u32>,
    spatial: u8,
    allowed: u8,
    /// Of each spatial layer; where pictures are no frames, the first one stands for all.
    temporal: [u8; SPATIAL],
}

/// A picture, or a frame of it where they are told apart.
#[derive(Clone, Copy)]
struct Picture {
    timestamp: u32,
    frame: Option<u16>,
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
    /// The decode targets that the receiver is to be told of, one bit each.
    pub targets: Option<u32>,
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
        if self.passing.is_none() {
            let begun = newest.is_some_and(|newest| newest.timestamp == packet.timestamp);
            if allowed == Highest::ALL || begun || !is_newer {
                return Some(Shift::default());
            }
            self.passing = Some(Passing::only(allowed));
        }
        let frame = header.frame.as_ref().map(|frame| frame.number);
        let is_it = |known: &&Picture| (known.timestamp, known.frame) == (packet.timestamp, frame);
        let picture = match self.pictures.iter().rev().find(is_it).copied() {
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
            targets: header.frame.as_ref().and_then(|frame| self.targets(frame)),
        })
    }

    /// Whether more spatial layers may pass than do, for want of a picture that stands alone.
    pub fn waits(&self) -> bool {
        self.waits
    }

    fn next(&mut self, packet: &Packet, header: &Header, allowed: Highest) -> Picture {
        let passing = self.passing.get_or_insert(Passing::only(allowed));
        if passing.timestamp != Some(packet.timestamp) {
            passing.timestamp = Some(packet.timestamp);
            passing.allowed = allowed.temporal;
            passing.spatial = match header.spatial.opens {
                true => allowed.spatial,
                false => passing.spatial.min(allowed.spatial),
            };
            self.waits = passing.spatial < allowed.spatial;
        }
        let highest = &mut passing.temporal[slot(header)];
        let passes;
        (passes, *highest) = self::passes(header.temporal, *highest, passing.allowed);
        let picture = Picture {
            timestamp: packet.timestamp,
            frame: header.frame.as_ref().map(|frame| frame.number),
            passes,
            spatial: passing.spatial,
            before: self.left_out,
        };
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
        let (spatial, temporal) = match &self.passing {
            Some(passing) => (passing.spatial, passing.temporal[slot(header)]),
            None => (ALL, ALL),
        };
        let picture = Picture {
            timestamp: packet.timestamp,
            frame: header.frame.as_ref().map(|frame| frame.number),
            passes: header.temporal.id <= temporal,
            spatial,
            before: after.unwrap_or(self.left_out),
        };
        self.remember(picture);
        picture
    }

    /// What is left of the decode targets. Each packet says it until a picture begins anew with all of
    /// them: one that says it may get lost (A.4 of what describes them).
    fn targets(&mut self, frame: &Frame) -> Option<u32> {
        let passing = self.passing.as_ref()?;
        let left = frame.targets(|target| passing.has(target));
        if left != frame.all() {
            self.told = true;
        } else if frame.attaches {
            self.told = false;
        }
        self.told.then_some(left)
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

impl Passing {
    fn only(allowed: Highest) -> Passing {
        Passing {
            timestamp: None,
            spatial: allowed.spatial,
            allowed: allowed.temporal,
            temporal: [allowed.temporal; SPATIAL],
        }
    }

    /// Whether all of a decode target passes.
    fn has(&self, target: Layers) -> bool {
        let below = self.temporal.iter().take(usize::from(target.spatial) + 1);
        target.spatial <= self.spatial && below.min().is_some_and(|least| target.temporal <= *least)
    }
}

/// Where the temporal layers of a packet are counted.
fn slot(header: &Header) -> usize {
    match header.frame {
        Some(_) => usize::from(header.spatial.id).min(SPATIAL - 1),
        None => 0,
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
