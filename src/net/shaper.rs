//! How fast a peer may send. What it sends too fast is not read, so it waits with the peer and not here.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wello_kernel::config::Rate;

/// Of one connection, or of several together.
pub struct Shaper {
    bucket: Bucket,
    /// When reading goes on.
    resumes: Option<Instant>,
}

impl Shaper {
    pub fn new(rate: Rate, now: Instant) -> Shaper {
        Shaper { bucket: Bucket::new(rate, now), resumes: None }
    }

    /// The peer is somebody with another rate, which counts from now on.
    pub fn set_rate(&mut self, rate: Rate, now: Instant) {
        *self = Shaper::new(rate, now);
    }

    /// Counts what was read.
    pub fn count(&mut self, bytes: usize, now: Instant) {
        self.resumes = self.bucket.take(bytes, now).map(|pause| now + pause);
    }

    /// When more may be read, if not now.
    pub fn resumes(&self) -> Option<Instant> {
        self.resumes
    }

    /// Waits until more may be read. May be dropped and called again.
    pub async fn ready(&self) {
        if let Some(resumes) = self.resumes {
            // Few connections ever wait for this, and all carry the size of their wait.
            Box::pin(sleep_until(resumes)).await;
        }
    }
}

/// A token bucket over bytes: fills at a steady rate up to a burst.
struct Bucket {
    rate: Rate,
    level: u64,
    filled: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket { rate, level: rate.burst_bytes, filled: now }
    }

    /// Takes `bytes` out; returns how long to pause before taking more.
    fn take(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        let rate = self.rate.bytes_per_second;
        if rate == 0 {
            return None;
        }
        let micros = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = rate.saturating_mul(micros) / 1_000_000;
        if gained > 0 {
            self.level = self.rate.burst_bytes.min(self.level.saturating_add(gained));
            self.filled = now;
        }
        let bytes = bytes as u64;
        if bytes <= self.level {
            self.level -= bytes;
            return None;
        }
        let missing = bytes - self.level;
        self.level = 0;
        let pause = Duration::from_micros(missing.saturating_mul(1_000_000) / rate);
        // What comes in meanwhile pays for what was read beyond the level, by this connection or another.
        self.filled = self.filled.max(now) + pause;
        Some(self.filled - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { bytes_per_second: 1000, burst_bytes: 5000 };

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RATE, start);
        assert_eq!(bucket.take(5000, start), None);
        assert_eq!(bucket.take(500, start), Some(Duration::from_millis(500)));
        let later = start + Duration::from_millis(2500);
        assert_eq!(bucket.take(2000, later), None);
        assert_eq!(bucket.take(1, later), Some(Duration::from_millis(1)));
    }

    #[test]
    fn whoever_waits_as_told_gets_the_rate_and_no_more() {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::new(RATE, start);
        let mut read = 0;
        while now < start + Duration::from_secs(100) {
            read += 700;
            now += bucket.take(700, now).unwrap_or_default();
        }
        assert!((105_000..106_000).contains(&read), "{read}");
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Rate { bytes_per_second: 0, burst_bytes: 0 }, now);
        assert_eq!(bucket.take(usize::MAX, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_waits_until_the_bytes_are_paid_for() {
        let start = Instant::now();
        let mut shaper = Shaper::new(RATE, start);
        shaper.count(5000, start);
        shaper.ready().await;
        assert_eq!(Instant::now(), start);
        shaper.count(3000, start);
        shaper.ready().await;
        assert_eq!(Instant::now() - start, Duration::from_secs(3));
        shaper.count(1000, Instant::now());
        shaper.set_rate(Rate { bytes_per_second: 0, burst_bytes: 0 }, Instant::now());
        shaper.ready().await;
        assert_eq!(Instant::now() - start, Duration::from_secs(3));
    }
}
