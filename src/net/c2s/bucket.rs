//! How fast a client may send: a token bucket over bytes.

use std::time::Duration;

use tokio::time::Instant;

/// Fills at a steady rate up to a burst.
pub struct Bucket {
    /// Bytes a second; 0 for no limit.
    rate: u64,
    burst: u64,
    level: u64,
    filled: Instant,
}

impl Bucket {
    pub fn new(rate: u64, burst: u64, now: Instant) -> Bucket {
        Bucket { rate, burst, level: burst, filled: now }
    }

    /// Takes `bytes` out; returns how long to pause before reading more.
    pub fn take(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        if self.rate == 0 {
            return None;
        }
        let micros = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = self.rate.saturating_mul(micros) / 1_000_000;
        if gained > 0 {
            self.level = self.burst.min(self.level.saturating_add(gained));
            self.filled = now;
        }
        let bytes = bytes as u64;
        if bytes <= self.level {
            self.level -= bytes;
            return None;
        }
        let missing = bytes - self.level;
        self.level = 0;
        Some(Duration::from_micros(missing.saturating_mul(1_000_000) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 5000, start);
        assert_eq!(bucket.take(5000, start), None);
        assert_eq!(bucket.take(500, start), Some(Duration::from_millis(500)));
        let later = start + Duration::from_secs(2);
        assert_eq!(bucket.take(2000, later), None);
        assert_eq!(bucket.take(1, later), Some(Duration::from_millis(1)));
        assert_eq!(Bucket::new(0, 0, start).take(usize::MAX, start), None);
    }
}
