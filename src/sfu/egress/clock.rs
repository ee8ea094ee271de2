//! The time of day, for what receivers compare.

use std::time::{Duration, Instant, SystemTime};

/// Of 1970, counted from 1900 (RFC 3550, section 4).
const SINCE_1900: u64 = 2_208_988_800;

/// It goes on as time does, whatever is done to the clock of the system: receivers want it steady.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    begin: Instant,
    /// Since 1970.
    then: Duration,
}

impl WallClock {
    #[expect(clippy::disallowed_methods, reason = "once, when the engine starts")]
    pub fn start(now: Instant) -> WallClock {
        let then = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallClock { begin: now, then }
    }

    /// Seconds since 1900 in 32.32 fixed point; they wrap in 2036, and receivers know.
    pub fn ntp(&self, now: Instant) -> u64 {
        let time = self.then + now.saturating_duration_since(self.begin);
        let seconds = time.as_secs().wrapping_add(SINCE_1900);
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        (seconds << 32) | fraction
    }

    /// Of the extension `abs-send-time`: 24 bits in 6.18 fixed point.
    pub fn send_time(&self, now: Instant) -> u32 {
        (self.ntp(now) >> 14) as u32 & 0x00ff_ffff
    }

    /// The middle of it, as reports refer to each other (RFC 3550, section 6.4.1).
    pub fn middle(&self, now: Instant) -> u32 {
        (self.ntp(now) >> 16) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn its_parts_agree() {
        let begin = Instant::now();
        let clock = WallClock { begin, then: Duration::from_millis(2_500) };
        let now = begin + Duration::from_millis(250);
        assert_eq!(clock.ntp(now), (SINCE_1900 + 2) << 32 | 3 << 30);
        assert_eq!(clock.middle(now) & 0xffff, 0xc000);
        // 2 seconds of 64, 1900 being a multiple of it away.
        assert_eq!(clock.send_time(now), ((SINCE_1900 as u32 + 2) % 64) << 18 | 3 << 16);
    }
}
