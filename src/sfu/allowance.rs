//! How much one may write on data channels: everybody else has to be sent it.

use std::time::{Duration, Instant};

/// Octets in a second, in the long run and at once.
const RATE: u64 = 128 * 1024;
const BURST: u64 = 512 * 1024;
/// What even an empty message costs.
const LEAST: u64 = 1024;

/// A bucket that fills with time.
#[derive(Debug)]
pub struct Allowance {
    left: u64,
    filled: Instant,
}

impl Allowance {
    pub fn new(now: Instant) -> Allowance {
        Allowance { left: BURST, filled: now }
    }

    /// Whether a message of so many octets may pass.
    pub fn take(&mut self, octets: usize, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled);
        let more = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(RATE) / 1000;
        // What is less than a millisecond worth is not lost.
        if more > 0 {
            self.filled += Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(0));
        }
        self.left = self.left.saturating_add(more).min(BURST);
        match self.left.checked_sub((octets as u64).max(LEAST)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_up_and_comes_back() {
        #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
        let begin = Instant::now();
        let mut allowance = Allowance::new(begin);
        let burst = BURST / LEAST;
        assert!((0..burst).all(|_| allowance.take(0, begin)));
        assert!(!allowance.take(0, begin));
        let later = begin + Duration::from_secs(1);
        assert!((0..RATE / LEAST).all(|_| allowance.take(LEAST as usize, later)));
        assert!(!allowance.take(0, later));
        // Asking often does not keep it from filling.
        let mut taken = 0;
        for step in 1..=10_000_u32 {
            let now = later + Duration::from_micros(100) * step;
            taken += u64::from(allowance.take(0, now));
        }
        assert!((RATE / LEAST - 2..=RATE / LEAST).contains(&taken), "{taken}");
        // It does not grow for ever.
        let hour = later + Duration::from_secs(3600);
        assert!(allowance.take(BURST as usize, hour) && !allowance.take(0, hour));
    }
}
