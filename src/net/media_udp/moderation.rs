//! When it is worth waiting for more datagrams before the first ones are handled, as network cards
//! do it (interrupt moderation).
//!
//! A picture comes as a burst of packets. Whoever reads the first of them at once handles each for
//! itself: every wake-up and every leg that has something to send costs about as much as a packet
//! does, and what goes to one address cannot leave in one burst.

use std::time::{Duration, Instant};

/// How long the first datagram waits under load: a burst at the speed of a local network takes less, and
/// nobody sees or hears it.
const BRIEFLY: Duration = Duration::from_micros(250);
/// How long where the processor would soon be full, and many small conferences keep packets for the same
/// receiver from coming together: a third less work for what is still heard and seen at the same time.
const LONGER: Duration = Duration::from_millis(2);
/// In what pieces of time the load is looked at: browsers send a burst every 5 ms.
const WINDOW: Duration = Duration::from_millis(10);
/// With fewer datagrams in a window (10 000 a second) a thread is idle most of the time, and haste costs
/// nobody anything.
const BUSY: usize = 100;
/// Share of the processor, in percent, from which on it waits longer, and down to which it goes on to.
const FULL: u32 = 45;
const RELIEVED: u32 = 25;
/// Datagrams that leave with one call: with fewer it waits longer, up to which it goes on to.
const SCATTERED: usize = 2;
const COUPLED: usize = 6;

/// What a thread has done since it waited last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub datagrams: usize,
    /// Calls of the system by which they left.
    pub calls: usize,
    pub time: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    AtOnce,
    Briefly,
    Longer,
}

/// Of one thread.
pub struct Moderation {
    since: Instant,
    done: Work,
    pace: Pace,
}

impl Moderation {
    pub fn new(now: Instant) -> Moderation {
        Moderation { since: now, done: Work::default(), pace: Pace::AtOnce }
    }

    pub fn count(&mut self, work: Work, now: Instant) {
        self.advance(now);
        self.done.datagrams += work.datagrams;
        self.done.calls += work.calls;
        self.done.time += work.time;
    }

    /// How long datagrams that have come now should be gathered first.
    pub fn gathers(&mut self, now: Instant) -> Option<Duration> {
        self.advance(now);
        match self.pace {
            Pace::AtOnce => None,
            Pace::Briefly => Some(BRIEFLY),
            Pace::Longer => Some(LONGER),
        }
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            // After a pause nothing is known of the last window but that it was quiet.
            self.pace = match elapsed < WINDOW * 2 {
                true => pace(self.done, elapsed, self.pace),
                false => Pace::AtOnce,
            };
            self.since = now;
            self.done = Work::default();
        }
    }
}

fn pace(done: Work, elapsed: Duration, before: Pace) -> Pace {
    if done.datagrams < BUSY {
        return Pace::AtOnce;
    }
    let (load, coupled) = match before {
        Pace::Longer => (RELIEVED, COUPLED),
        Pace::AtOnce | Pace::Briefly => (FULL, SCATTERED),
    };
    match done.time * 100 >= elapsed * load && done.datagrams < done.calls * coupled {
        true => Pace::Longer,
        false => Pace::Briefly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thread {
        moderation: Moderation,
        now: Instant,
    }

    impl Thread {
        fn new() -> Thread {
            let now = Instant::now();
            Thread { moderation: Moderation::new(now), now }
        }

        /// For a while so much is done every 5 ms; says how long it waits then.
        fn works(&mut self, datagrams: usize, calls: usize, millis: u64) -> Option<Duration> {
            for _ in 0..10 {
                self.now += WINDOW / 2;
                let work = Work { datagrams, calls, time: Duration::from_millis(millis) };
                self.moderation.count(work, self.now);
            }
            self.moderation.gathers(self.now)
        }
    }

    #[test]
    fn under_load_datagrams_are_gathered() {
        let mut thread = Thread::new();
        assert_eq!(thread.moderation.gathers(thread.now), None);
        assert_eq!(thread.works(BUSY / 4, 25, 1), None, "too little to wait for");
        assert_eq!(thread.works(BUSY, 100, 1), Some(BRIEFLY));
        assert_eq!(thread.works(BUSY / 4, 25, 1), None, "the load is over");
    }

    #[test]
    fn a_thread_that_is_nearly_full_waits_longer_where_that_couples_more() {
        let mut thread = Thread::new();
        assert_eq!(thread.works(500, 400, 2), Some(BRIEFLY), "there is time for all");
        assert_eq!(thread.works(500, 100, 4), Some(BRIEFLY), "they are coupled already");
        assert_eq!(thread.works(500, 400, 4), Some(LONGER));
        assert_eq!(thread.works(500, 200, 2), Some(LONGER), "it is the waiting that helps");
        assert_eq!(thread.works(500, 50, 2), Some(BRIEFLY), "bursts have come");
        assert_eq!(thread.works(500, 400, 4), Some(LONGER));
        assert_eq!(thread.works(500, 200, 1), Some(BRIEFLY), "there is time again");
    }

    #[test]
    fn what_comes_first_after_a_pause_does_not_wait() {
        let mut thread = Thread::new();
        assert!(thread.works(BUSY, 100, 1).is_some());
        assert!(thread.moderation.gathers(thread.now + WINDOW).is_some());
        assert!(thread.works(BUSY, 100, 1).is_some());
        assert_eq!(thread.moderation.gathers(thread.now + WINDOW * 3), None);
    }
}
