//! Whether packets wait longer and longer (draft-ietf-rmcat-gcc-02, sections 5.3 and 5.4), by the line
//! through their delays instead of a Kalman filter.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::arrival::Group;

/// The groups of so many milliseconds are looked at, so many at most; with fewer than the least there
/// is no slope.
const WINDOW: f64 = 500.0;
const MOST: usize = 50;
const LEAST: usize = 3;
/// What is compared with the threshold: this share of the rise within the window. The less time is
/// looked at, the less a rise says.
const GAIN: f64 = 0.5;
/// A rise counts as far as it is more than so many of its standard errors: jitter is no rise.
const ERRORS: f64 = 1.5;
/// The threshold in milliseconds, and how it follows the rises that are there, so that a stream beside
/// others which fill the queue is not starved (section 5.4).
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLDS: RangeInclusive<f64> = 6.0..=600.0;
const RISES: f64 = 0.01;
const FALLS: f64 = 0.000_18;
/// A rise so much above the threshold is a sudden change, which it does not follow.
const SUDDEN: f64 = 15.0;
/// A group stands for so many milliseconds at the most.
const LONGEST: f64 = 100.0;
/// How long it has to be too much, in milliseconds.
const PATIENCE: f64 = 10.0;

/// What the path is: used less than before, used as before, used too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Normal,
    Under,
    Over,
}

pub struct Trend {
    /// When groups arrived and how long they took, in milliseconds.
    points: VecDeque<(f64, f64)>,
    last: Option<Group>,
    before: f64,
    threshold: f64,
    /// How long it has been too much, if it is.
    over: Option<f64>,
}

impl Default for Trend {
    fn default() -> Trend {
        Trend {
            points: VecDeque::with_capacity(MOST),
            last: None,
            before: 0.0,
            threshold: FIRST_THRESHOLD,
            over: None,
        }
    }
}

impl Trend {
    /// The delays are no longer comparable; the threshold stays.
    pub fn forget(&mut self) {
        self.points.clear();
        (self.last, self.over, self.before) = (None, None, 0.0);
    }

    pub fn add(&mut self, group: &Group) -> Usage {
        let last = self.last.replace(*group).unwrap_or(*group);
        let elapsed = milliseconds(group.sent.saturating_sub(last.sent)).clamp(0.0, LONGEST);
        self.put(milliseconds(group.arrival), milliseconds(group.delay));
        let trend = self.rise() * GAIN;
        let usage = self.judge(trend, elapsed, group.delay >= last.delay);
        self.follow(trend, elapsed);
        self.before = trend;
        usage
    }

    fn put(&mut self, arrival: f64, delay: f64) {
        let is_old = |(first, _): &(f64, f64)| arrival - first > WINDOW;
        while self.points.len() == MOST || self.points.front().is_some_and(is_old) {
            self.points.pop_front();
        }
        self.points.push_back((arrival, delay));
    }

    /// In milliseconds from the first point to the last, along the line with the least squares; what
    /// scatter alone may be is taken off.
    fn rise(&self) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.points.front(), self.points.back()) else {
            return 0.0;
        };
        let count = self.points.len() as f64;
        let sum = |of: fn(&(f64, f64)) -> f64| self.points.iter().map(of).sum::<f64>();
        let (mean_x, mean_y) = (sum(|point| point.0) / count, sum(|point| point.1) / count);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in self.points.iter().map(|(x, y)| (x - mean_x, y - mean_y)) {
            (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        }
        if self.points.len() < LEAST || xx <= 0.0 {
            return 0.0;
        }
        let slope = xy / xx;
        let error = ((yy - slope * xy).max(0.0) / (count - 2.0) / xx).sqrt();
        slope.signum() * (slope.abs() - ERRORS * error).max(0.0) * (last - first).abs()
    }

    /// A single burst leaves a queue that gets shorter: then it is not too much.
    fn judge(&mut self, trend: f64, elapsed: f64, waits_longer: bool) -> Usage {
        if trend <= self.threshold {
            self.over = None;
            let falls = trend < -self.threshold.min(FIRST_THRESHOLD);
            return if falls { Usage::Under } else { Usage::Normal };
        }
        let over = self.over.map_or(elapsed / 2.0, |over| over + elapsed);
        let is_second = self.over.replace(over).is_some();
        match is_second && over > PATIENCE && trend >= self.before && waits_longer {
            true => Usage::Over,
            false => Usage::Normal,
        }
    }

    fn follow(&mut self, trend: f64, elapsed: f64) {
        let above = trend.abs() - self.threshold;
        if above > SUDDEN {
            return;
        }
        // A queue that gets shorter is our doing.
        let gain = match above {
            above if above < 0.0 => FALLS,
            _ if trend < 0.0 => return,
            _ => RISES,
        };
        let threshold = self.threshold + gain * above * elapsed;
        self.threshold = threshold.clamp(*THRESHOLDS.start(), *THRESHOLDS.end());
    }
}

fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::arrival::Groups;
    use super::*;

    /// Groups every 30 ms with these delays in microseconds: how many of them were too much, and how
    /// many less than before.
    fn usages(trend: &mut Trend, delays: impl Iterator<Item = i64>) -> (usize, usize) {
        let mut groups = Groups::default();
        let mut counts = (0, 0);
        for (place, delay) in (0..).zip(delays) {
            let sent = place * 30_000;
            let Some(group) = groups.add(sent, sent + delay) else { continue };
            match trend.add(&group) {
                Usage::Over => counts.0 += 1,
                Usage::Under => counts.1 += 1,
                Usage::Normal => {}
            }
        }
        counts
    }

    #[test]
    fn a_ramp_is_too_much_and_a_step_is_not() {
        let over = |delays: &mut dyn Iterator<Item = i64>| usages(&mut Trend::default(), delays).0;
        assert_eq!(over(&mut (0..40).map(|_| 20_000)), 0);
        assert!(over(&mut (0..40).map(|place| place * 5_000)) > 10);
        // A large picture, whose queue gets shorter.
        let step = |place: i64| if place < 20 { 0 } else { 150_000 - place * 1000 };
        assert!(over(&mut (0..60).map(step)) <= 1);
        let scatter = |place: i64| place * 7919 % 20 * 1000;
        assert_eq!(over(&mut (0..200).map(scatter)), 0);
    }

    #[test]
    fn a_queue_that_gets_shorter_is_seen() {
        let falls = |place: i64| (300_000 - place * 6_000).max(0);
        let (over, under) = usages(&mut Trend::default(), (0..40).map(falls));
        assert!(over == 0 && under > 20, "{over} {under}");
    }

    #[test]
    fn the_threshold_follows_what_goes_up_and_down_anyway() {
        let mut trend = Trend::default();
        let wave = |place: i64| (20 - (place % 40 - 20).abs()) * 2_500;
        usages(&mut trend, (0..200).map(wave));
        assert!(trend.threshold > FIRST_THRESHOLD * 1.3, "{}", trend.threshold);
        trend.forget();
        usages(&mut trend, (0..1000).map(|_| 0));
        assert!(trend.threshold <= FIRST_THRESHOLD, "{}", trend.threshold);
    }
}
