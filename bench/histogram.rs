//! Log-linear histogram: 64 buckets for each power of two, so a percentile is at most 1.6 % off.

use std::time::Duration;

const SUB_BITS: u32 = 6;

#[derive(Clone, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket_of(nanos);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(a, b)| *a += b);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// Smallest bucket value that `share` (0 to 1) of the recorded values do not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_end(bucket).min(self.max));
            }
        }
        self.max()
    }
}

fn bucket_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    ((shift as usize) << SUB_BITS) + (nanos >> shift) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> SUB_BITS).saturating_sub(1);
    let mantissa = (bucket - (shift << SUB_BITS)) as u128;
    u64::try_from(((mantissa + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_close_to_it() {
        for nanos in (0..5000).chain((0..64).map(|b| 1u64 << b)).chain([u64::MAX, 999_999_999]) {
            let end = upper_end(bucket_of(nanos));
            assert!(end >= nanos && (end - nanos) as f64 <= nanos as f64 / 60.0, "{nanos} {end}");
        }
    }

    #[test]
    fn percentiles_of_a_ramp() {
        let mut low = Histogram::default();
        let mut high = Histogram::default();
        (1..=500).for_each(|ms| low.record(Duration::from_millis(ms)));
        (501..=1000).for_each(|ms| high.record(Duration::from_millis(ms)));
        low.merge(&high);
        let near =
            |share, ms: f64| (low.percentile(share).as_secs_f64() * 1000.0 / ms - 1.0).abs() < 0.02;
        assert!(near(0.5, 500.0) && near(0.99, 990.0) && near(1.0, 1000.0));
        assert_eq!(low.max(), Duration::from_secs(1));
        assert_eq!(Histogram::default().percentile(0.5), Duration::ZERO);
    }
}
