//! From the packets of one track to its frames, in order and with their times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wello_sfu::api::Codec;
use wello_sfu::tape::Taped;

use super::matroska::{Kind, Picture};
use super::{av1, h264, vpx};

/// Packets that wait for one that is missing; one that comes later is lost.
const MAX_WAITING: usize = 256;
/// How long they wait: what is sent again takes a round trip.
const PATIENCE: Duration = Duration::from_millis(500);
/// By how much sound and picture of one sender may have been apart on their way. What is more is a
/// mistake of his clock.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// Bytes of the largest picture.
const MAX_PICTURE: usize = 4 * 1024 * 1024;

/// A picture, or a packet of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    /// Since the recording began.
    pub at: Duration,
    /// A player can begin with it.
    pub key: bool,
    pub data: Vec<u8>,
}

/// The packets of one track.
pub struct Assembly {
    codec: Codec,
    /// The time of its first packet: when it came, and what it said.
    origin: Option<(Duration, u32)>,
    waiting: BTreeMap<u64, Taped>,
    next: Option<u64>,
    unfinished: Unfinished,
    /// Of the last packet.
    timestamp: Option<u32>,
    /// Of the last picture that stood alone.
    kind: Option<Kind>,
    /// By how many microseconds its sender's clock is ahead of the recording.
    ahead: Option<i64>,
}

/// A picture that is not complete.
#[derive(Default)]
struct Unfinished {
    /// The parts that its codec tells apart; one where it does not.
    units: Vec<Vec<u8>>,
    /// Its first packet was there, and none is missing since.
    whole: bool,
}

impl Assembly {
    pub fn new(codec: Codec) -> Assembly {
        Assembly {
            codec,
            origin: None,
            waiting: BTreeMap::new(),
            next: None,
            unfinished: Unfinished::default(),
            timestamp: None,
            kind: None,
            ahead: None,
        }
    }

    /// Sound and pictures of a stream go together by the clock of their sender, which his reports
    /// tell. `ahead`: by how much it is ahead of the recording, for the whole stream.
    pub fn synchronise(&mut self, packet: &Taped, start: Instant, ahead: &mut Option<i64>) {
        if let Some(captured) = packet.captured {
            let at = self.time(packet, start);
            self.ahead = Some(*ahead.get_or_insert(captured - micros(at)));
        }
    }

    /// Takes a packet; returns what is complete. `start`: when the recording began.
    pub fn push(&mut self, packet: Taped, start: Instant) -> Vec<Frame> {
        if self.next.is_some_and(|next| packet.seq < next) {
            return Vec::new();
        }
        if packet.codec != self.codec {
            let Assembly { origin, ahead, .. } = *self;
            *self = Assembly { origin, ahead, ..Assembly::new(packet.codec) };
        }
        let now = packet.arrived;
        self.waiting.insert(packet.seq, packet);
        self.drain(start, |assembly| {
            let oldest = assembly.waiting.values().next();
            let is_late = oldest.is_some_and(|oldest| oldest.arrived + PATIENCE <= now);
            is_late || assembly.waiting.len() > MAX_WAITING
        })
    }

    /// Nothing comes any more.
    pub fn finish(&mut self, start: Instant) -> Vec<Frame> {
        self.drain(start, |_| true)
    }

    /// `gives_up`: whether what is missing is waited for no longer.
    fn drain(&mut self, start: Instant, gives_up: impl Fn(&Assembly) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(seq) = self.waiting.keys().next().copied() {
            let is_next = self.next.is_none_or(|next| seq == next);
            if !is_next && !gives_up(self) {
                break;
            }
            self.next = Some(seq + 1);
            if let Some(packet) = self.waiting.remove(&seq) {
                frames.extend(self.assemble(&packet, !is_next, start));
            }
        }
        frames
    }

    /// `gap`: something is missing before this packet.
    fn assemble(&mut self, packet: &Taped, gap: bool, start: Instant) -> Option<Frame> {
        let at = self.time(packet, start);
        if self.codec == Codec::Opus {
            let data = packet.payload.to_vec();
            return (!data.is_empty()).then_some(Frame { kind: Kind::Sound, at, key: true, data });
        }
        let is_new = self.timestamp.replace(packet.timestamp) != Some(packet.timestamp);
        if is_new || gap {
            let whole = is_new && self.begins(&packet.payload, gap);
            self.unfinished = Unfinished { units: Vec::new(), whole };
        }
        self.unfinished.whole &= self.take(&packet.payload).is_some();
        if !packet.marker || !self.unfinished.whole {
            return None;
        }
        let (data, picture) = self.complete();
        let key = picture.is_some();
        self.kind = picture.map(Kind::Picture).or(self.kind.take());
        // What comes before the first picture that stands alone cannot be shown.
        Some(Frame { kind: self.kind.clone()?, at, key, data })
    }

    /// Whether a picture begins with this packet, which has another time than the one before.
    fn begins(&self, payload: &[u8], gap: bool) -> bool {
        match self.codec {
            Codec::Vp8 => vpx::vp8(payload).is_some_and(|piece| piece.begins),
            Codec::Vp9 => vpx::vp9(payload).is_some_and(|piece| piece.begins),
            // They do not say; its beginning may be what is missing.
            _ => !gap,
        }
    }

    /// `None` if the packet is damaged, or the picture too large.
    fn take(&mut self, payload: &[u8]) -> Option<()> {
        let units = &mut self.unfinished.units;
        let piece = match self.codec {
            Codec::H264 => return h264::take(payload, units).filter(|()| fits(units)),
            Codec::Av1 => return av1::take(payload, units).filter(|()| fits(units)),
            Codec::Vp8 => vpx::vp8(payload)?,
            _ => vpx::vp9(payload)?,
        };
        match units.last_mut() {
            Some(picture) => picture.extend_from_slice(piece.data),
            None => units.push(piece.data.to_vec()),
        }
        fits(units).then_some(())
    }

    fn complete(&mut self) -> (Vec<u8>, Option<Picture>) {
        let Unfinished { units, .. } = std::mem::take(&mut self.unfinished);
        match self.codec {
            Codec::H264 => h264::finish(&units),
            Codec::Av1 => av1::finish(&units),
            codec => {
                let data = units.concat();
                let picture = match codec {
                    Codec::Vp8 => vpx::vp8_picture(&data),
                    _ => vpx::vp9_picture(&data),
                };
                (data, picture)
            }
        }
    }

    /// By the sender's clock, where that is known and can be.
    fn time(&mut self, packet: &Taped, start: Instant) -> Duration {
        let counted = self.counted(packet, start);
        let told = packet.captured.zip(self.ahead).map(|(captured, ahead)| captured - ahead);
        let told = told.and_then(|told| u64::try_from(told).ok()).map(Duration::from_micros);
        told.filter(|told| told.abs_diff(counted) <= MAX_SKEW).unwrap_or(counted)
    }

    /// When the first packet came, and from then on as the sender counts.
    fn counted(&mut self, packet: &Taped, start: Instant) -> Duration {
        let arrived = packet.arrived.saturating_duration_since(start);
        let (begin, first) = *self.origin.get_or_insert((arrived, packet.timestamp));
        let clock = if self.codec == Codec::Opus { 48_000 } else { 90_000 };
        // Within a few hours it does not wrap; earlier ones are at most a little earlier.
        let ticks = packet.timestamp.wrapping_sub(first) as i32;
        let passed = Duration::from_micros(u64::from(ticks.unsigned_abs()) * 1_000_000 / clock);
        if ticks < 0 { begin.saturating_sub(passed) } else { begin + passed }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn fits(units: &[Vec<u8>]) -> bool {
    units.iter().map(Vec::len).sum::<usize>() <= MAX_PICTURE
}

#[cfg(test)]
pub(super) mod tests {
    use wello_sfu::api::{ConferenceId, TrackId};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    pub fn now() -> Instant {
        Instant::now()
    }

    pub fn packet(codec: Codec, seq: u64, payload: &[u8], arrived: Instant) -> Taped {
        let timestamp = if codec == Codec::Opus { seq * 960 } else { seq / 2 * 3000 };
        Taped {
            conference: ConferenceId(1),
            track: TrackId(1),
            codec,
            seq,
            timestamp: timestamp as u32,
            marker: seq % 2 == 1,
            arrived,
            captured: None,
            payload: payload.into(),
        }
    }

    /// Two packets of a picture of VP8, the first one with an even number.
    pub fn picture(seq: u64, key: bool, arrived: Instant) -> [Taped; 2] {
        let first = [0x10, u8::from(!key), 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0];
        let second = [0x00, seq as u8];
        [packet(Codec::Vp8, seq, &first, arrived), packet(Codec::Vp8, seq + 1, &second, arrived)]
    }

    #[test]
    fn pictures_are_put_together_from_the_first_that_stands_alone() {
        let start = now();
        let mut assembly = Assembly::new(Codec::Vp8);
        let mut take = |seq, key| {
            let arrived = start + Duration::from_millis(100);
            let [first, second] = picture(seq, key, arrived);
            // In whatever order they come.
            let mut frames = assembly.push(second, start);
            frames.extend(assembly.push(first, start));
            frames
        };
        // Its second half comes first, so that nothing is known to be missing.
        assert!(take(10, false).is_empty());
        let key = take(12, true);
        let private = Vec::new();
        let kind = Kind::Picture(Picture { codec: Codec::Vp8, width: 320, height: 240, private });
        assert_eq!((key.len(), &key[0].kind, key[0].key), (1, &kind, true));
        let next = take(14, false);
        assert_eq!((&next[0].kind, next[0].key, next[0].data.len()), (&kind, false, 11));
        assert_eq!(next[0].at - key[0].at, Duration::from_micros(33_333));
    }

    #[test]
    fn what_is_missing_is_waited_for_and_then_left_out() {
        let start = now();
        let mut assembly = Assembly::new(Codec::Vp8);
        let [first, second] = picture(0, true, start);
        assert!(assembly.push(first, start).is_empty());
        assert_eq!(assembly.push(second, start).len(), 1);
        let [_, lost_half] = picture(2, false, start);
        let [first, second] = picture(4, false, start + Duration::from_millis(30));
        for packet in [lost_half, first, second] {
            assert!(assembly.push(packet, start).is_empty());
        }
        let [first, _] = picture(6, false, start + PATIENCE);
        let frames = assembly.push(first, start);
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0].data.last(), Some(&4));
        // Too late.
        let [late, _] = picture(2, false, start + PATIENCE);
        assert!(assembly.push(late, start).is_empty());
    }

    #[test]
    fn sound_and_pictures_go_together_by_the_clock_of_their_sender() {
        let (start, mut ahead) = (now(), None);
        let mut take = |assembly: &mut Assembly, packet: Taped, captured| {
            let packet = Taped { captured, ..packet };
            assembly.synchronise(&packet, start, &mut ahead);
            assembly.push(packet, start)
        };
        let mut pictures = Assembly::new(Codec::Vp8);
        let [first, second] = picture(0, true, start + Duration::from_millis(100));
        take(&mut pictures, first, Some(5_000_000));
        let shown = take(&mut pictures, second, Some(5_000_000));
        assert_eq!(shown[0].at, Duration::from_millis(100));
        // What was said at the same time has taken longer, and nobody knows it yet.
        let (mut sound, later) = (Assembly::new(Codec::Opus), start + Duration::from_millis(400));
        let heard = take(&mut sound, packet(Codec::Opus, 0, &[0xf8, 1], later), None);
        assert_eq!(heard[0].at, Duration::from_millis(400));
        let heard = take(&mut sound, packet(Codec::Opus, 1, &[0xf8, 1], later), Some(5_020_000));
        assert_eq!(heard[0].at, Duration::from_millis(120));
        // A clock that is set to another time is not believed.
        let heard = take(&mut sound, packet(Codec::Opus, 2, &[0xf8, 1], later), Some(9_000_000));
        assert_eq!(heard[0].at, Duration::from_millis(440));
    }

    #[test]
    fn sound_is_as_it_came() {
        let start = now();
        let mut assembly = Assembly::new(Codec::Opus);
        let later = start + Duration::from_secs(1);
        let first = assembly.push(packet(Codec::Opus, 7, &[0xf8, 1], later), start);
        let second = assembly.push(packet(Codec::Opus, 8, &[0xf8, 2], later), start);
        assert_eq!((first[0].at, &first[0].data[..]), (Duration::from_secs(1), &[0xf8, 1][..]));
        assert_eq!(second[0].at, Duration::from_millis(1020));
        assert!(assembly.push(packet(Codec::Opus, 10, &[0xf8], later), start).is_empty());
        assert_eq!(assembly.finish(start).len(), 1);
    }
}
