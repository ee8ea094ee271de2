//! One source as one receiver gets it: which packets, and the numbers that make one stream of them.

use std::cmp::Ordering;
use std::time::Instant;

use crate::api::{Codec, LegId, Media, OutputSpec};
use crate::choice::{Choice, Reason, Room, decide};
use crate::peer::bitstream::{Header, Vp8Numbers};
use crate::peer::dependency::{self, Described};
use crate::peer::{Packet, Sending};
use crate::thinning::{Highest, Shift, Thinning};

/// Clock rates of RTP timestamps (RFC 7587, section 4.1; RFC 7741, section 4.1 and the like).
const AUDIO_CLOCK: u128 = 48_000;
const VIDEO_CLOCK: u128 = 90_000;
/// Picture ids of VP8 have 15 bits.
const PICTURES: u16 = 0x7fff;
/// Sequence numbers begin low: the receiver cannot know how often they have wrapped.
const FIRST: u64 = 0x3fff;
/// Where the last packet was of another track: no layer of this one.
const ELSEWHERE: usize = usize::MAX;

pub struct Output {
    pub leg: LegId,
    pub source: u32,
    pub paused: bool,
    /// Its receiver looks at others.
    pub hidden: bool,
    /// The place of the best layer that the receiver wants.
    pub most: Option<usize>,
    /// How often the layer has changed.
    pub switches: u32,
    media: Media,
    payloads: Vec<(u8, u8)>,
    /// What its network carries, where that is looked at.
    choice: Option<Choice>,
    current: Option<Current>,
    last: Option<Last>,
    thinning: Thinning,
}

/// What is sent now, and how its numbers become ours.
#[derive(Clone, Copy)]
struct Current {
    layer: usize,
    /// What is older belongs to what was sent before.
    first: u64,
    seq: u64,
    timestamp: u32,
    picture: u16,
    base_layer: u8,
    /// Of frames that are described.
    frame: u16,
}

/// The newest packet that was sent.
#[derive(Clone, Copy)]
struct Last {
    layer: usize,
    seq: u64,
    timestamp: u32,
    arrived: Instant,
    /// What is added to timestamps of its layer.
    shift: u32,
    vp8: Option<Vp8Numbers>,
    frame: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Send(Sending),
    /// Not for this receiver, or too late.
    Drop,
    /// The receiver cannot begin with it: a picture of this layer that stands alone is needed.
    NeedKeyframe(usize),
}

impl Output {
    pub fn new(leg: LegId, spec: &OutputSpec) -> Output {
        Output {
            leg,
            source: spec.source,
            paused: false,
            hidden: false,
            most: None,
            switches: 0,
            media: spec.media,
            payloads: spec.payloads.clone(),
            choice: None,
            current: None,
            last: None,
            thinning: Thinning::default(),
        }
    }

    /// For the tape, which takes everything as it is called by the sender.
    pub fn tape(codec: Codec, payloads: impl Iterator<Item = u8>) -> Output {
        Output {
            leg: LegId(0),
            source: 0,
            paused: false,
            hidden: false,
            most: None,
            switches: 0,
            media: if codec == Codec::Opus { Media::Audio } else { Media::Video },
            payloads: payloads.map(|pt| (pt, pt)).collect(),
            choice: None,
            current: None,
            last: None,
            thinning: Thinning::default(),
        }
    }

    /// The layer that is sent, or that is waited for.
    pub fn layer(&self, target: usize) -> usize {
        self.sent().unwrap_or(target)
    }

    /// The layer that is sent.
    pub fn sent(&self) -> Option<usize> {
        self.current.map(|current| current.layer)
    }

    /// The best layer that the receiver wants and its network carries; `None`: any.
    pub fn ceiling(&self) -> Option<usize> {
        match (self.most, self.choice) {
            (Some(most), Some(choice)) => Some(most.min(choice.step.layer)),
            (most, choice) => most.or(choice.map(|choice| choice.step.layer)),
        }
    }

    /// How much of a layer its network carries.
    pub fn highest(&self, layer: usize) -> Highest {
        let Some(Choice { step, .. }) = self.choice else { return Highest::ALL };
        match layer.cmp(&step.layer) {
            Ordering::Less => Highest::ALL,
            Ordering::Equal => Highest { spatial: step.spatial, temporal: step.temporal },
            // It is only sent until the other one begins.
            Ordering::Greater => Highest::BASE,
        }
    }

    /// Whether its network carries more spatial layers than are sent, for want of a picture that
    /// stands alone.
    pub fn waits(&self) -> bool {
        self.current.is_some() && self.thinning.waits()
    }

    /// Its network has room for this.
    pub fn settle(&mut self, room: Room, now: Instant) -> Reason {
        let (choice, reason) = decide(room, self.choice, now);
        self.choice = Some(choice);
        reason
    }

    /// Whether its receiver does not want it now.
    pub fn is_idle(&self) -> bool {
        self.paused || self.hidden
    }

    /// From now on nothing is sent; it begins again with a picture that stands alone.
    pub fn interrupt(&mut self) {
        self.current = None;
    }

    /// From now on it gets another track, which goes on where the last one was.
    pub fn follow(&mut self, payloads: Vec<(u8, u8)>) {
        self.payloads = payloads;
        self.current = None;
        self.most = None;
        self.choice = None;
        if let Some(last) = &mut self.last {
            last.layer = ELSEWHERE;
        }
    }

    /// What becomes of a packet when `target` is the layer to be sent.
    pub fn take(&mut self, packet: &Packet, header: &Header, target: usize) -> Verdict {
        let Some((_, pt)) = self.payloads.iter().find(|(theirs, _)| *theirs == packet.pt) else {
            return Verdict::Drop;
        };
        let pt = *pt;
        if self.hidden {
            self.interrupt();
        }
        if self.is_idle() {
            return Verdict::Drop;
        }
        let current = match self.current {
            Some(current) if current.layer == packet.layer => current,
            _ if packet.layer != target => return Verdict::Drop,
            _ if !header.begins => return Verdict::NeedKeyframe(packet.layer),
            _ => self.begin(packet, header),
        };
        if packet.seq < current.first {
            return Verdict::Drop;
        }
        let allowed = self.highest(packet.layer);
        match self.thinning.take(packet, header, allowed) {
            Some(shift) => Verdict::Send(self.renumber(packet, pt, header, current, shift)),
            None => Verdict::Drop,
        }
    }

    /// Goes on where the last packet was, with a packet that stands alone.
    fn begin(&mut self, packet: &Packet, header: &Header) -> Current {
        let seq = self.last.map_or(packet.seq & FIRST, |last| last.seq + 1);
        let mut begun = Current {
            layer: packet.layer,
            first: packet.seq,
            seq: seq.wrapping_sub(packet.seq),
            timestamp: 0,
            picture: 0,
            base_layer: 0,
            frame: 0,
        };
        self.thinning = Thinning::default();
        if let Some(last) = self.last {
            self.switches += u32::from(last.layer != packet.layer);
            begun.timestamp = if last.layer == packet.layer {
                last.shift
            } else {
                let next = last.timestamp.wrapping_add(self.elapsed(last.arrived, packet.arrived));
                next.wrapping_sub(packet.timestamp)
            };
            if let (Some(before), Some(now)) = (last.vp8, header.vp8) {
                begun.picture = before.picture.wrapping_add(1).wrapping_sub(now.picture) & PICTURES;
                begun.base_layer = before.base_layer.wrapping_add(1).wrapping_sub(now.base_layer);
            }
            if let (Some(before), Some(now)) = (last.frame, frame_of(packet, header)) {
                begun.frame = before.wrapping_add(1).wrapping_sub(now);
            }
        }
        self.current = Some(begun);
        begun
    }

    /// In ticks of the clock; at least one, so that no two pictures are of the same time.
    fn elapsed(&self, before: Instant, now: Instant) -> u32 {
        let clock = match self.media {
            Media::Audio => AUDIO_CLOCK,
            Media::Video => VIDEO_CLOCK,
        };
        let ticks = now.saturating_duration_since(before).as_micros() * clock / 1_000_000;
        // Timestamps wrap.
        (ticks & u128::from(u32::MAX)).try_into().unwrap_or(u32::MAX).max(1)
    }

    fn renumber(
        &mut self,
        packet: &Packet,
        pt: u8,
        header: &Header,
        current: Current,
        shift: Shift,
    ) -> Sending {
        let numbers = header.vp8;
        let seq = packet.seq.wrapping_add(current.seq).wrapping_sub(shift.packets);
        let timestamp = packet.timestamp.wrapping_add(current.timestamp);
        let renumbered = numbers.map(|numbers| Vp8Numbers {
            picture: numbers.picture.wrapping_add(current.picture).wrapping_sub(shift.pictures)
                & PICTURES,
            base_layer: numbers.base_layer.wrapping_add(current.base_layer),
        });
        let described = described(packet, header, current.frame, shift.targets);
        let frame = described.as_ref().map(Described::number);
        if self.last.is_none_or(|last| seq > last.seq) {
            self.last = Some(Last {
                layer: packet.layer,
                seq,
                timestamp,
                arrived: packet.arrived,
                shift: current.timestamp,
                vp8: renumbered.or(self.last.and_then(|last| last.vp8)),
                frame: frame.or(self.last.and_then(|last| last.frame)),
            });
        }
        Sending {
            source: self.source,
            pt,
            seq,
            timestamp,
            // Sound that comes again after a pause says so (RFC 3551, section 4.1).
            marker: packet.marker
                || shift.ends
                || (self.media == Media::Audio && packet.seq == current.first),
            marks: packet.marks,
            arrived: packet.arrived,
            payload: packet.payload.clone(),
            vp8: renumbered.filter(|_| numbers != renumbered),
            described: described.map(Box::new),
        }
    }
}

/// The number of its frame, where that is described.
fn frame_of(packet: &Packet, header: &Header) -> Option<u16> {
    packet.descriptor.as_deref().filter(|_| header.is_described).and_then(dependency::number)
}

/// What is passed on of a descriptor: its frame goes on counting from where another layer ended. Those that
/// are left out leave gaps, since others say how far before them is what they need.
fn described(
    packet: &Packet,
    header: &Header,
    further: u16,
    targets: Option<u32>,
) -> Option<Described> {
    let number = frame_of(packet, header)?.wrapping_add(further);
    let octets = packet.descriptor.as_ref()?;
    Some(Described::new(octets, header.frame.as_ref(), number, targets))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::{Mid, TrackId};
    use crate::peer::Marks;
    use crate::peer::bitstream::{described, header};

    fn output() -> Output {
        let spec = OutputSpec {
            track: TrackId(1),
            mid: Mid::new("0").unwrap(),
            media: Media::Video,
            source: 7,
            rtx: None,
            payloads: vec![(96, 100)],
        };
        Output::new(LegId(1), &spec)
    }

    /// VP8 with a picture id of 15 bits and a number of the base layer.
    fn packet(layer: usize, seq: u64, timestamp: u32, key: bool, arrived: Instant) -> Packet {
        let picture = (seq & 0x7fff) as u16;
        let [high, low] = (picture | 0x8000).to_be_bytes();
        let payload = [0x90, 0xe0, high, low, seq as u8, 0, u8::from(!key), 0, 0];
        Packet {
            track: TrackId(1),
            layer,
            pt: 96,
            seq,
            timestamp,
            marker: true,
            marks: Marks::default(),
            arrived,
            captured: None,
            payload: payload[..].into(),
            descriptor: None,
        }
    }

    fn take(output: &mut Output, packet: &Packet, target: usize) -> Verdict {
        output.take(packet, &header(Codec::Vp8, &packet.payload), target)
    }

    fn sent(verdict: Verdict) -> Sending {
        match verdict {
            Verdict::Send(sending) => sending,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn a_switch_of_layers_cannot_be_seen_in_the_numbers() {
        let now = Instant::now();
        let mut output = output();
        let mut take = |packet: Packet, target| take(&mut output, &packet, target);
        assert_eq!(take(packet(0, 70_000, 5, false, now), 0), Verdict::NeedKeyframe(0));
        let first = sent(take(packet(0, 70_001, 900, true, now), 0));
        assert_eq!((first.pt, first.source, first.timestamp, first.vp8), (100, 7, 900, None));
        assert!(first.seq < 1 << 15);
        // Older than what it began with.
        assert_eq!(take(packet(0, 70_000, 5, false, now), 0), Verdict::Drop);
        let second = sent(take(packet(0, 70_003, 3900, false, now), 0));
        assert_eq!(second.seq, first.seq + 2);
        let late = sent(take(packet(0, 70_002, 900, false, now), 0));
        assert_eq!(late.seq, first.seq + 1);
        // The other layer waits for a picture that stands alone; until then the first goes on.
        let after = now + Duration::from_millis(100);
        assert_eq!(take(packet(1, 9, 77, false, after), 1), Verdict::NeedKeyframe(1));
        let third = sent(take(packet(0, 70_004, 6900, false, after), 1));
        let switched = sent(take(packet(1, 10, 77, true, after), 1));
        assert_eq!(switched.seq, third.seq + 1);
        assert_eq!(switched.timestamp, third.timestamp + 1);
        let picture = (70_004_u64 & 0x7fff) as u16;
        assert_eq!(switched.vp8.map(|numbers| numbers.picture), Some(picture + 1));
        assert_eq!(take(packet(0, 70_005, 9900, true, after), 1), Verdict::Drop);
        let next = sent(take(packet(1, 11, 3077, false, after), 1));
        assert_eq!((next.seq, next.timestamp), (switched.seq + 1, switched.timestamp + 3000));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn a_pause_leaves_no_gap() {
        let now = Instant::now();
        let mut output = output();
        let first = sent(take(&mut output, &packet(0, 1, 0, true, now), 0));
        output.paused = true;
        output.interrupt();
        assert_eq!(take(&mut output, &packet(0, 2, 3000, true, now), 0), Verdict::Drop);
        output.paused = false;
        let needs = take(&mut output, &packet(0, 99, 9000, false, now), 0);
        assert_eq!(needs, Verdict::NeedKeyframe(0));
        let again = sent(take(&mut output, &packet(0, 100, 12_000, true, now), 0));
        assert_eq!((again.seq, again.timestamp), (first.seq + 1, 12_000));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn another_track_goes_on_where_the_last_one_was() {
        let now = Instant::now();
        let mut output = output();
        let first = sent(take(&mut output, &packet(0, 5, 9000, true, now), 0));
        output.follow(vec![(96, 101)]);
        let after = now + Duration::from_millis(20);
        let waits = take(&mut output, &packet(0, 70_000, 1, false, after), 0);
        assert_eq!(waits, Verdict::NeedKeyframe(0));
        let other = sent(take(&mut output, &packet(0, 70_001, 1, true, after), 0));
        assert_eq!((other.pt, other.seq), (101, first.seq + 1));
        assert_eq!(other.timestamp, first.timestamp + 1800);
        assert_eq!(other.vp8.map(|numbers| numbers.picture), Some(6));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn what_is_said_of_pictures_of_vp8_besides_is_not_passed_on() {
        let mut twice = packet(0, 1, 0, true, Instant::now());
        twice.descriptor = Some([0xc0, 0, 1][..].into());
        assert_eq!(sent(take(&mut output(), &twice, 0)).described, None);
        let av1 = described(&twice.payload, None);
        let described = sent(output().take(&twice, &Header { begins: true, ..av1 }, 0)).described;
        assert_eq!(described.map(|described| described.number()), Some(1));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn what_the_receiver_does_not_take_is_not_sent() {
        let mut other = packet(0, 1, 0, true, Instant::now());
        other.pt = 97;
        assert_eq!(take(&mut output(), &other, 0), Verdict::Drop);
    }
}
