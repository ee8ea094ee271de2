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
/// A microphone in which nobody has spoken for this long need not be heard by anybody.
const SILENT: Duration = Duration::from_secs(5);
/// So many are heard all the same: the noise of the room is how one hears that a call is alive.
const AUDIBLE: usize = 5;

#[derive(Default)]
pub struct Speakers {
    levels: HashMap<TrackId, Level>,
    current: Option<TrackId>,
    decided: Option<Instant>,
}

struct Level {
    smooth: f32,
    last: Instant,
    /// Last louder than silence.
    spoken: Instant,
    /// Others are louder, and nobody speaks there.
    idle: bool,
}

impl Speakers {
    /// `level` in dBov, 0 is the loudest.
    pub fn heard(&mut self, track: TrackId, level: i8, now: Instant) {
        let level = f32::from(level.clamp(-127, 0));
        let new = Level { smooth: -127.0, last: now, spoken: now, idle: false };
        let known = self.levels.entry(track).or_insert(new);
        known.smooth += (level - known.smooth) * WEIGHT;
        known.last = now;
        if level > SILENCE {
            known.spoken = now;
            // At once, so that no word loses its beginning.
            known.idle = false;
        }
    }

    /// Whether it need not be forwarded.
    pub fn is_idle(&self, track: TrackId) -> bool {
        self.levels.get(&track).is_some_and(|level| level.idle)
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
        self.quieten(now);
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

    /// Finds out who is idle.
    fn quieten(&mut self, now: Instant) {
        let mut levels: Vec<&mut Level> = self.levels.values_mut().collect();
        levels.sort_unstable_by(|one, other| other.smooth.total_cmp(&one.smooth));
        for (place, level) in levels.into_iter().enumerate() {
            level.idle = place >= AUDIBLE && now >= level.spoken + SILENT;
        }
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn who_is_silent_for_long_is_not_heard_unless_among_the_loudest() {
        let mut now = Instant::now();
        let mut speakers = Speakers::default();
        let all = || (0..AUDIBLE as u64 + 2).map(TrackId);
        let idle = |speakers: &Speakers| all().filter(|track| speakers.is_idle(*track)).count();
        let second = |speakers: &mut Speakers, now: &mut Instant| {
            for _ in 0..50 {
                *now += Duration::from_millis(20);
                all().for_each(|track| speakers.heard(track, -60 - track.0 as i8, *now));
                speakers.decide(*now);
            }
        };
        (0..4).for_each(|_| second(&mut speakers, &mut now));
        assert_eq!(idle(&speakers), 0);
        (0..2).for_each(|_| second(&mut speakers, &mut now));
        assert_eq!(idle(&speakers), 2);
        let quietest = TrackId(AUDIBLE as u64 + 1);
        assert!(speakers.is_idle(quietest));
        speakers.heard(quietest, -30, now);
        assert!(!speakers.is_idle(quietest));
    }
}
