//! When it is worth waiting for more datagrams before the first ones are handled, as network cards
//! do it (interrupt moderation).
//!
//! A picture comes as a burst of packets. Whoever reads the first of them at once handles each for
//! itself: every wake-up and every leg that has something to send costs about as much as a packet
//! does, and what goes to one address cannot leave in one burst.

use std::time::{Duration, Instant};

/// How long the first datagram waits under load: a burst at the speed of a local network takes less, and
/// nobody sees or hears it.
pub const GATHERED: Duration = Duration::from_micros(250);
/// In what pieces of time the load is looked at: browsers send a burst every 5 ms.
const WINDOW: Duration = Duration::from_millis(10);
/// With fewer datagrams in a window (10 000 a second) a thread is idle most of the time, and haste costs
/// nobody anything.
const BUSY: usize = 100;

/// Of one thread: how much it has sent lately.
pub struct Moderation {
    since: Instant,
    sent: usize,
    is_busy: bool,
}

impl Moderation {
    pub fn new(now: Instant) -> Moderation {
        Moderation { since: now, sent: 0, is_busy: false }
    }

    /// So many datagrams have been sent at once.
    pub fn count(&mut self, datagrams: usize, now: Instant) {
        self.advance(now);
        self.sent += datagrams;
    }

    /// Whether datagrams that have come now should be gathered first.
    pub fn gathers(&mut self, now: Instant) -> bool {
        self.advance(now);
        self.is_busy
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            // After a pause nothing is known of the last window but that it was quiet.
            self.is_busy = self.sent >= BUSY && elapsed < WINDOW * 2;
            self.since = now;
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `datagrams` every 5 ms, so many times.
    fn send(moderation: &mut Moderation, now: &mut Instant, datagrams: usize, times: usize) {
        for _ in 0..times {
            *now += WINDOW / 2;
            moderation.count(datagrams, *now);
        }
    }

    #[test]
    fn under_load_datagrams_are_gathered() {
        let mut now = Instant::now();
        let mut moderation = Moderation::new(now);
        assert!(!moderation.gathers(now));
        send(&mut moderation, &mut now, BUSY / 4, 10);
        assert!(!moderation.gathers(now), "too little to wait for");
        send(&mut moderation, &mut now, BUSY, 10);
        assert!(moderation.gathers(now));
        send(&mut moderation, &mut now, BUSY / 4, 10);
        assert!(!moderation.gathers(now), "the load is over");
    }

    #[test]
    fn what_comes_first_after_a_pause_does_not_wait() {
        let mut now = Instant::now();
        let mut moderation = Moderation::new(now);
        send(&mut moderation, &mut now, BUSY, 10);
        assert!(moderation.gathers(now + WINDOW));
        send(&mut moderation, &mut now, BUSY, 10);
        assert!(!moderation.gathers(now + WINDOW * 3));
    }
}
