//! When to ask for a certificate.

use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);
/// Let's Encrypt allows five failed validations of a name in an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = HOUR.saturating_mul(12);

/// Two thirds of the lifetime, and up to a thirtieth more so that not everyone who started on
/// the same day comes on the same day. The jitter is taken from the certificate, so that it
/// stays the same over restarts.
pub(super) fn renewal_time(
    not_before: SystemTime,
    expires: SystemTime,
    fingerprint: &[u8; 32],
) -> SystemTime {
    let lifetime = expires.duration_since(not_before).unwrap_or_default();
    let jitter = f64::from(u16::from_be_bytes([fingerprint[0], fingerprint[1]])) / 65536.0;
    not_before + lifetime.mul_f64(2.0 / 3.0 + jitter / 30.0)
}

/// The pause after so many failures in a row (1 or more).
pub(super) fn pause_after(failures: u32, rate_limited: bool) -> Duration {
    if rate_limited {
        return LONGEST_PAUSE;
    }
    let factor = 3_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    #[test]
    fn renewal_is_at_two_thirds_with_jitter() {
        let start = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let renewal = |first| {
            let time = renewal_time(start, start + 90 * DAY, &[first; 32]);
            time.duration_since(start).unwrap()
        };
        assert_eq!(renewal(0), 60 * DAY);
        assert!(renewal(0x80) > 61 * DAY && renewal(0x80) < 62 * DAY, "{:?}", renewal(0x80));
        assert!(renewal(0xFF) > 62 * DAY && renewal(0xFF) < 63 * DAY);
    }

    #[test]
    fn pauses_grow() {
        let minutes = |failures| pause_after(failures, false).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5].map(minutes), [5, 15, 45, 135, 405]);
        assert_eq!([6, 7, 100].map(minutes), [720; 3]);
        assert_eq!(pause_after(1, true), LONGEST_PAUSE);
    }
}
