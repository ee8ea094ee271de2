//! Who is speaking, from the audio levels that senders put into header extensions (RFC 6464).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::api::TrackId;

/// How often it is decided.
const EVERY: Duration = Duration::from_millis(300);
/// Below this nobody is meant, in dBov.
const SILENCE: f32 = -55.0;
/// How much louder another one has to be, in dB, so that it does not flap between two.
const AHEAD: f32 = 6.0;
/// Share of a new level in the smoothed one: about a quarter of a second of 20 ms packets.
const WEIGHT: f32 = 0.08;
/// A microphone that sends nothing is silent.
const STALE: Duration = Duration::from_millis(700);

#[derive(Default)]
pub struct Speakers {
    levels: HashMap<TrackId, Level>,
    current: Option<TrackId>,
    decided: Option<Instant>,
}

struct Level {
    smooth: f32,
    last: Instant,
}

impl Speakers {
    /// `level` in dBov, 0 is the loudest.
    pub fn heard(&mut self, track: TrackId, level: i8, now: Instant) {
        let level = f32::from(level.clamp(-127, 0));
        let known = self.levels.entry(track).or_insert(Level { smooth: -127.0, last: now });
        known.smooth += (level - known.smooth) * WEIGHT;
        known.last = now;
    }

    pub fn forget(&mut self, track: TrackId) {
        self.levels.remove(&track);
    }

    /// The new speaker when it has changed. Who speaks stays the speaker until another one does.
    pub fn decide(&mut self, now: Instant) -> Option<Option<TrackId>> {
        if self.decided.is_some_and(|last| now < last + EVERY) {
            return None;
        }
        self.decided = Some(now);
        let loudness = |level: &Level| if now < level.last + STALE { level.smooth } else { -127.0 };
        let current = self.current.filter(|track| self.levels.contains_key(track));
        let now_heard = current.and_then(|track| self.levels.get(&track)).map_or(-127.0, loudness);
        let loudest = self
            .levels
            .iter()
            .map(|(track, level)| (*track, loudness(level)))
            .filter(|(_, level)| *level > SILENCE)
            .max_by(|one, other| one.1.total_cmp(&other.1));
        let chosen = match loudest {
            Some((track, level)) if now_heard <= SILENCE || level > now_heard + AHEAD => {
                Some(track)
            }
            _ => current,
        };
        let changed = chosen != self.current;
        self.current = chosen;
        changed.then_some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: TrackId = TrackId(1);
    const TWO: TrackId = TrackId(2);

    /// A second of two microphones; the last decision.
    fn second(
        speakers: &mut Speakers,
        now: &mut Instant,
        one: i8,
        two: i8,
    ) -> Option<Option<TrackId>> {
        let mut decision = None;
        for _ in 0..50 {
            *now += Duration::from_millis(20);
            speakers.heard(ONE, one, *now);
            speakers.heard(TWO, two, *now);
            decision = speakers.decide(*now).or(decision);
        }
        decision
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn the_loudest_one_speaks_and_stays_until_another_is_clearly_louder() {
        let mut now = Instant::now();
        let mut speakers = Speakers::default();
        assert_eq!(second(&mut speakers, &mut now, -127, -127), None);
        assert_eq!(second(&mut speakers, &mut now, -30, -127), Some(Some(ONE)));
        assert_eq!(second(&mut speakers, &mut now, -30, -27), None);
        assert_eq!(second(&mut speakers, &mut now, -30, -15), Some(Some(TWO)));
        // Silence changes nothing.
        assert_eq!(second(&mut speakers, &mut now, -127, -127), None);
        assert_eq!(second(&mut speakers, &mut now, -127, -127), None);
        speakers.forget(TWO);
        now += Duration::from_secs(1);
        assert_eq!(speakers.decide(now), Some(None));
    }
}
