//! How long packets wait beyond what the way takes at least. A queue that was full before anybody could
//! see it grow shows no trend.

/// The least delay is that of this time, or twice of it: clocks drift, ways change. Microseconds.
const PERIOD: i64 = 10_000_000;
/// A wait so long, for so long, is too much. Microseconds.
const LONG: i64 = 80_000;
const PATIENCE: i64 = 150_000;
/// A wait so short is none; of jitter the least counts, so it becomes longer by this at most from one
/// group to the next. Microseconds.
const SHORT: i64 = 20_000;
const STEP: i64 = 2_000;
/// After so many decreases that did not shorten it, the queue is not ours.
const MOST_CUTS: u32 = 4;

#[derive(Default)]
pub struct Queue {
    began: i64,
    /// The least delay of this period and of the one before.
    least: Option<i64>,
    before: Option<i64>,
    /// Since when it has been long.
    since: Option<i64>,
    cuts: u32,
    /// How long packets have waited lately at least.
    waits: i64,
}

impl Queue {
    /// A delay, which is going down or not. Whether there has been a queue for long.
    pub fn add(&mut self, delay: i64, falls: bool, sent: i64) -> bool {
        if sent >= self.began.saturating_add(PERIOD) {
            (self.before, self.least, self.began) = (self.least, None, sent);
        }
        let least = self.least.map_or(delay, |least| least.min(delay));
        self.least = Some(least);
        let base = self.before.map_or(least, |before| before.min(least));
        let waits = delay - base;
        self.waits = waits.min(self.waits + STEP);
        if waits < LONG {
            self.cuts = 0;
        }
        if waits < LONG || falls {
            self.since = None;
            return false;
        }
        sent >= self.since.get_or_insert(sent).saturating_add(PATIENCE)
    }

    pub fn is_short(&self) -> bool {
        self.waits < SHORT
    }

    /// The estimate has been lowered.
    pub fn cut(&mut self) {
        if self.since.take().is_some() {
            self.cuts += 1;
        }
        if self.cuts >= MOST_CUTS {
            *self = Queue::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: i64 = 50_000;

    /// So many groups with this delay: how many of them were too much.
    fn too_much(queue: &mut Queue, now: &mut i64, groups: usize, delay: i64) -> usize {
        let mut add = || {
            *now += GROUP;
            queue.add(delay, false, *now)
        };
        (0..groups).filter(|_| add()).count()
    }

    #[test]
    fn a_long_queue_is_too_much_after_a_while() {
        let (mut queue, mut now) = (Queue::default(), 0);
        assert_eq!(too_much(&mut queue, &mut now, 10, 7_000), 0);
        assert!(queue.is_short());
        assert_eq!(too_much(&mut queue, &mut now, 10, 7_000 + LONG), 7);
        assert!(!queue.is_short());
        assert!(!queue.add(7_000 + LONG, true, now), "it gets shorter");
        assert_eq!(too_much(&mut queue, &mut now, 10, 7_000 + SHORT - 1), 0);
        assert!(queue.is_short());
    }

    #[test]
    fn what_it_is_measured_by_grows_old() {
        let (mut queue, mut now) = (Queue::default(), 0);
        // A clock that drifts.
        for delay in (0..1000).map(|step| step * 1_000) {
            assert_eq!(too_much(&mut queue, &mut now, 10, delay), 0);
        }
    }

    #[test]
    fn a_queue_that_does_not_care_is_not_ours() {
        let (mut queue, mut now) = (Queue::default(), 0);
        too_much(&mut queue, &mut now, 10, 0);
        for _ in 0..MOST_CUTS {
            assert!(too_much(&mut queue, &mut now, 10, LONG) > 0);
            queue.cut();
        }
        assert_eq!(too_much(&mut queue, &mut now, 10, LONG), 0);
    }
}
