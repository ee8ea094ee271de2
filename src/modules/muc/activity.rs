//! How many messages an hour a room sees (XEP-0502).

use wello_store::Timestamp;

/// A counter for the hour that runs and one for each of the 24 before.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    counts: [u32; 25],
    /// Hours since 1970 of the first counter.
    hour: i64,
}

const HOUR_MICROS: i64 = 3_600_000_000;

impl Activity {
    pub fn count(&mut self, now: Timestamp) {
        self.shift(now);
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    /// Messages per hour, over the whole hours of the last day.
    pub fn per_hour(&mut self, now: Timestamp) -> f64 {
        self.shift(now);
        let sum: u64 = self.counts[1..].iter().map(|count| u64::from(*count)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rough figure is what is asked for")]
        let sum = sum as f64;
        sum / 24.0
    }

    fn shift(&mut self, now: Timestamp) {
        let hour = now.as_micros() / HOUR_MICROS;
        let passed = usize::try_from(hour - self.hour).unwrap_or(0).min(self.counts.len());
        if passed > 0 {
            let len = self.counts.len();
            self.counts.rotate_right(passed % len);
            self.counts[..passed].fill(0);
            self.hour = hour;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_of_a_day_are_averaged() {
        let mut activity = Activity::default();
        let hour = |hour: i64| Timestamp::from_micros(hour * HOUR_MICROS);
        for _ in 0..24 {
            activity.count(hour(1000));
        }
        assert_eq!(activity.per_hour(hour(1000)), 0.0);
        assert_eq!(activity.per_hour(hour(1001)), 1.0);
        activity.count(hour(1002));
        assert_eq!(activity.per_hour(hour(1024)), 25.0 / 24.0);
        assert_eq!(activity.per_hour(hour(1025)), 1.0 / 24.0);
        assert_eq!(activity.per_hour(hour(2000)), 0.0);
    }
}
