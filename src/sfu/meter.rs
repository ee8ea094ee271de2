//! How much passes, measured where it passes.

use std::time::{Duration, Instant};

/// What is measured is of this long ago at the most.
const WINDOW: Duration = Duration::from_millis(500);
/// Before this nothing is known.
const LEAST: Duration = Duration::from_millis(100);

/// Bit/s of the last window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    since: Option<Instant>,
    octets: u64,
    rate: u64,
}

impl Meter {
    pub fn add(&mut self, octets: usize, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            self.rate = rate(self.octets, elapsed);
            *self = Meter { since: Some(now), octets: 0, rate: self.rate };
        }
        self.octets += octets as u64;
    }

    /// Zero when nothing has come for long.
    pub fn rate(&self, now: Instant) -> u64 {
        let Some(since) = self.since else { return 0 };
        let elapsed = now.saturating_duration_since(since);
        match elapsed {
            long if long >= WINDOW * 4 => 0,
            // The first window is not over.
            _ if self.rate == 0 => rate(self.octets, elapsed.max(LEAST)),
            _ => self.rate,
        }
    }
}

/// In bit/s.
pub fn rate(octets: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    octets.saturating_mul(8_000) / milliseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn it_follows_what_passes() {
        let mut now = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.rate(now), 0);
        let mut pass = |octets: usize, times: usize| {
            for _ in 0..times {
                meter.add(octets, now);
                now += Duration::from_millis(10);
            }
            meter.rate(now)
        };
        // 125 octets in 10 ms are 100 kbit/s.
        assert_eq!(pass(125, 20), 100_000);
        assert_eq!(pass(125, 100), 100_000);
        assert_eq!(pass(1250, 200), 1_000_000);
        now += WINDOW * 4;
        assert_eq!(meter.rate(now), 0);
    }
}
