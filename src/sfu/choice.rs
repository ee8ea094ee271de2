//! Which layers a receiver gets: what its network carries, shared among the sources that it gets.
//!
//! Pure functions: rates, what is sent now and the time go in, what is to be sent and why comes out.

use std::time::{Duration, Instant};

/// How long there has to be room for more before more is sent.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for one who has fallen back each time, so that the picture does not jump.
const MOST_PATIENCE: Duration = Duration::from_secs(32);
/// A rise that is taken back within this time was a mistake.
const RELAPSE: Duration = Duration::from_secs(10);
/// Estimates waver: so much of one is used to rise, in percent.
const AMPLE: u64 = 85;

/// A layer of simulcast and the layers of it that are sent; the greater, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub layer: usize,
    /// The highest ones that are sent.
    pub spatial: u8,
    pub temporal: u8,
}

/// What a step costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    pub step: Step,
    /// Bit/s.
    pub rate: u64,
}

/// The steps of one source, from the worst to the best: each costs more than those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder(Vec<Rung>);

impl Ladder {
    /// Puts a better step on top; those that cost as much or more have no use any more.
    pub fn put(&mut self, rung: Rung) {
        while self.0.last().is_some_and(|below| below.rate >= rung.rate) {
            self.0.pop();
        }
        self.0.push(rung);
    }

    pub fn best(&self) -> Option<Rung> {
        self.0.last().copied()
    }

    /// What a step costs, in bit/s.
    #[cfg(test)]
    pub fn cost(&self, step: Step) -> u64 {
        let below = self.0.iter().rev().find(|rung| rung.step <= step).or(self.0.first());
        below.map_or(0, |rung| rung.rate)
    }

    fn rate(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, |rung| rung.rate)
    }
}

/// What the network of a receiver has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The best step that fits.
    fits: Step,
    /// The best step that fits with something to spare.
    ample: Step,
    /// The best step that there is.
    best: Step,
}

/// Shares an estimate in bit/s among sources. Each gets its worst step, come what may; what is left
/// raises one after the other. `None` for a source that has no steps.
pub fn share(estimate: u64, ladders: &[Ladder]) -> Vec<Option<Room>> {
    let fits = places(estimate, ladders);
    let ample = places(estimate / 100 * AMPLE, ladders);
    let rooms = ladders.iter().zip(fits.into_iter().zip(ample)).map(|(ladder, (fits, ample))| {
        let step = |place: usize| ladder.0.get(place).map(|rung| rung.step);
        Some(Room { fits: step(fits)?, ample: step(ample)?, best: ladder.best()?.step })
    });
    rooms.collect()
}

fn places(estimate: u64, ladders: &[Ladder]) -> Vec<usize> {
    let mut places = vec![0; ladders.len()];
    let least: u64 = ladders.iter().map(|ladder| ladder.rate(0)).sum();
    let mut left = estimate.saturating_sub(least);
    loop {
        let before = left;
        for (place, ladder) in places.iter_mut().zip(ladders) {
            let Some(next) = ladder.0.get(*place + 1) else { continue };
            let more = next.rate - ladder.rate(*place);
            if more <= left {
                left -= more;
                *place += 1;
            }
        }
        if left == before {
            return places;
        }
    }
}

/// What a receiver gets of a source, and what speaks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub step: Step,
    /// There is nothing better.
    topped: bool,
    /// Since when there is room for more, and the least that there was room for since.
    rising: Option<(Instant, Step)>,
    risen: Option<Instant>,
    patience: Duration,
}

/// Why a choice is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was chosen before.
    Begins,
    /// More does not fit any more.
    Congested,
    /// What was sent is not there any more, or the receiver does not want it.
    Limited,
    /// There has been room for more for long enough.
    Recovered,
    /// The best was sent already, and now there is a better one.
    Offered,
    /// As before.
    Steady,
}

/// Down at once, up with patience.
pub fn decide(room: Room, before: Option<Choice>, now: Instant) -> (Choice, Reason) {
    let Some(before) = before else {
        return (Choice::of(room.fits, room, PATIENCE), Reason::Begins);
    };
    if room.fits < before.step {
        return match room.best == room.fits {
            true => (Choice::of(room.fits, room, before.patience), Reason::Limited),
            false => (Choice::of(room.fits, room, before.after_fall(now)), Reason::Congested),
        };
    }
    if room.ample <= before.step {
        let steady = Choice { topped: room.best <= before.step, rising: None, ..before };
        return (steady, Reason::Steady);
    }
    if before.topped {
        return (Choice::of(room.ample, room, before.patience), Reason::Offered);
    }
    let (since, least) =
        before.rising.map_or((now, room.ample), |(since, least)| (since, least.min(room.ample)));
    if now < since + before.patience {
        return (Choice { rising: Some((since, least)), ..before }, Reason::Steady);
    }
    let risen = Choice { risen: Some(now), ..Choice::of(least, room, before.patience) };
    (risen, Reason::Recovered)
}

impl Choice {
    fn of(step: Step, room: Room, patience: Duration) -> Choice {
        Choice { step, topped: step >= room.best, rising: None, risen: None, patience }
    }

    /// The patience of one who has just been found to have had too much.
    fn after_fall(&self, now: Instant) -> Duration {
        match self.risen {
            Some(risen) if now < risen + RELAPSE => (self.patience * 2).min(MOST_PATIENCE),
            _ => PATIENCE,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn step(layer: usize, temporal: u8) -> Step {
        Step { layer, spatial: 0, temporal }
    }

    /// Two layers with two temporal ones each: 100, 150, 600 and 900 kbit/s.
    fn ladder() -> Ladder {
        let mut ladder = Ladder::default();
        for (layer, temporal, rate) in [(0, 0, 100), (0, 1, 150), (1, 0, 600), (1, 1, 900)] {
            ladder.put(Rung { step: step(layer, temporal), rate: rate * 1000 });
        }
        ladder
    }

    fn room(kilobits: u64) -> Room {
        share(kilobits * 1000, &[ladder()])[0].unwrap()
    }

    #[test]
    fn a_step_that_costs_no_less_than_a_better_one_is_no_step() {
        let mut ladder = ladder();
        ladder.put(Rung { step: step(2, 0), rate: 600_000 });
        assert_eq!(ladder.best().unwrap().step, step(2, 0));
        assert_eq!(share(10_000_000, &[ladder.clone()])[0].unwrap().fits, step(2, 0));
        assert_eq!(share(599_000, &[ladder])[0].unwrap().fits, step(0, 1));
    }

    #[test]
    fn everybody_gets_something_and_the_rest_is_shared() {
        let rooms = |kilobits: u64| {
            let all = share(kilobits * 1000, &[ladder(), ladder(), Ladder::default()]);
            assert_eq!(all[2], None);
            (all[0].unwrap().fits, all[1].unwrap().fits)
        };
        assert_eq!(rooms(0), (step(0, 0), step(0, 0)));
        assert_eq!(rooms(250), (step(0, 1), step(0, 0)));
        assert_eq!(rooms(750), (step(1, 0), step(0, 1)));
        assert_eq!(rooms(1_500), (step(1, 1), step(1, 0)));
        assert_eq!(rooms(1_800), (step(1, 1), step(1, 1)));
    }

    #[test]
    fn down_at_once_and_up_with_patience() {
        let mut now = Instant::now();
        let (choice, why) = decide(room(1000), None, now);
        assert_eq!((choice.step, why), (step(1, 1), Reason::Begins));
        let (choice, why) = decide(room(700), Some(choice), now);
        assert_eq!((choice.step, why), (step(1, 0), Reason::Congested));
        let (choice, why) = decide(room(300), Some(choice), now);
        assert_eq!((choice.step, why), (step(0, 1), Reason::Congested));
        // 600 fits into 650, but there is nothing to spare.
        now += SECOND * 60;
        let (choice, why) = decide(room(650), Some(choice), now);
        assert_eq!((choice.step, why), (step(0, 1), Reason::Steady));
        let (choice, why) = decide(room(1100), Some(choice), now);
        assert_eq!((choice.step, why), (step(0, 1), Reason::Steady));
        // The least of what there was room for counts.
        let (choice, _) = decide(room(800), Some(choice), now + PATIENCE / 2);
        let (choice, why) = decide(room(1100), Some(choice), now + PATIENCE);
        assert_eq!((choice.step, why), (step(1, 0), Reason::Recovered));
    }

    #[test]
    fn an_estimate_that_wavers_begins_the_wait_anew() {
        let now = Instant::now();
        let (choice, _) = decide(room(200), None, now);
        let (choice, _) = decide(room(1100), Some(choice), now);
        let (choice, _) = decide(room(200), Some(choice), now + PATIENCE / 2);
        let (choice, why) = decide(room(1100), Some(choice), now + PATIENCE);
        assert_eq!((choice.step, why), (step(0, 1), Reason::Steady));
        let (choice, why) = decide(room(1100), Some(choice), now + PATIENCE * 2);
        assert_eq!((choice.step, why), (step(1, 1), Reason::Recovered));
    }

    #[test]
    fn who_falls_back_waits_longer_the_next_time() {
        let mut now = Instant::now();
        let (mut choice, _) = decide(room(200), None, now);
        for patience in [PATIENCE, PATIENCE * 2, PATIENCE * 4] {
            (choice, _) = decide(room(1100), Some(choice), now);
            let (waiting, why) = decide(room(1100), Some(choice), now + patience - SECOND / 10);
            assert_eq!(why, Reason::Steady);
            now += patience;
            let (risen, why) = decide(room(1100), Some(waiting), now);
            assert_eq!(why, Reason::Recovered);
            now += SECOND;
            (choice, _) = decide(room(200), Some(risen), now);
        }
        // A rise that has lasted is no mistake.
        (choice, _) = decide(room(1100), Some(choice), now);
        now += PATIENCE * 8;
        (choice, _) = decide(room(1100), Some(choice), now);
        now += RELAPSE;
        (choice, _) = decide(room(200), Some(choice), now);
        assert_eq!(choice.patience, PATIENCE);
    }

    #[test]
    fn a_wish_is_followed_without_waiting() {
        let now = Instant::now();
        let (choice, _) = decide(room(1100), None, now);
        let mut low = Ladder::default();
        low.put(Rung { step: step(0, 1), rate: 150_000 });
        let only_low = share(1_100_000, &[low])[0].unwrap();
        let (choice, why) = decide(only_low, Some(choice), now);
        assert_eq!((choice.step, why), (step(0, 1), Reason::Limited));
        let (choice, why) = decide(room(1100), Some(choice), now);
        assert_eq!((choice.step, why), (step(1, 1), Reason::Offered));
    }
}
