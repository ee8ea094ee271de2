//! The estimate itself: additive or multiplicative increase, multiplicative decrease
//! (draft-ietf-rmcat-gcc-02, sections 5.5 and 6).

use std::ops::RangeInclusive;

/// Of what has arrived, so much is believed when it was too much.
const DECREASE: f64 = 0.85;
/// By so much the estimate grows in a second while its limit is not known.
const INCREASE: f64 = 1.08;
/// The estimate stays below so much of what arrives, as long as nothing else shows that there is more.
const AHEAD: f64 = 1.5;
const AHEAD_AT_LEAST: f64 = 10_000.0;
/// Bit/s that are believed in any case, and those that are not believed in any case.
const LEAST: f64 = 50_000.0;
const MOST: f64 = 1e9;
/// Between two decreases: their effect has to be seen. Microseconds.
const SHORTEST_PAUSE: i64 = 100_000;
const LONGEST_PAUSE: i64 = 500_000;
/// How long it takes to notice too much, beside the round trip (section 5.5). Microseconds.
const NOTICES: i64 = 100_000;
/// Octets of a packet and pictures in a second, as they usually are (section 5.5).
const PACKET: f64 = 1200.0;
const PICTURES: f64 = 30.0;

pub struct Control {
    rate: f64,
    updated: i64,
    cut: Option<i64>,
    limit: Option<Limit>,
}

/// What has arrived when it was too much.
struct Limit {
    mean: f64,
    /// Of single ones, relative to the mean.
    variance: f64,
}

impl Limit {
    /// Weight of a new one (section 5.5).
    const NEW: f64 = 0.05;
    /// A deviation is never taken for less or more than this, relative to the mean.
    const DEVIATION: RangeInclusive<f64> = 0.02..=0.05;

    fn new(rate: f64) -> Limit {
        Limit { mean: rate, variance: 0.0 }
    }

    fn add(&mut self, rate: f64) {
        let away = (rate - self.mean) / self.mean.max(1.0);
        self.mean += Limit::NEW * (rate - self.mean);
        self.variance += Limit::NEW * (away * away - self.variance);
    }

    /// Three standard deviations.
    fn reach(&self) -> f64 {
        let deviation = self.variance.sqrt();
        3.0 * self.mean * deviation.clamp(*Limit::DEVIATION.start(), *Limit::DEVIATION.end())
    }
}

impl Control {
    pub fn new(first: u64) -> Control {
        let rate = (first as f64).clamp(LEAST, MOST);
        Control { rate, updated: 0, cut: None, limit: None }
    }

    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the last decrease can have had its effect.
    pub fn may_cut(&self, round_trip: i64, now: i64) -> bool {
        let pause = round_trip.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.cut.is_none_or(|cut| now >= cut.saturating_add(pause))
    }

    /// It was too much: so much has arrived.
    pub fn cut(&mut self, carried: f64, now: i64) {
        match &mut self.limit {
            Some(limit) if (carried - limit.mean).abs() <= limit.reach() => limit.add(carried),
            limit => *limit = Some(Limit::new(carried)),
        }
        self.lower(carried * DECREASE);
        (self.cut, self.updated) = (Some(now), now);
    }

    /// Such a share of the packets got lost. What has arrived nonetheless the network carries.
    pub fn lose(&mut self, share: f64, carried: f64) {
        self.lower((self.rate * (1.0 - share / 2.0)).max(carried * DECREASE));
    }

    fn lower(&mut self, rate: f64) {
        self.rate = self.rate.min(rate.max(LEAST));
    }

    pub fn hold(&mut self, now: i64) {
        self.updated = now;
    }

    /// All is well, and so much arrives.
    pub fn grow(&mut self, carried: f64, round_trip: i64, now: i64) {
        let elapsed = (now - self.updated).clamp(0, 1_000_000) as f64;
        self.updated = now;
        if self.limit.as_ref().is_some_and(|limit| carried > limit.mean + limit.reach()) {
            self.limit = None;
        }
        let more = match self.limit {
            Some(_) => self.step() * elapsed / (NOTICES + round_trip) as f64,
            None => self.rate * (INCREASE.powf(elapsed / 1e6) - 1.0),
        };
        let ceiling = (carried * AHEAD + AHEAD_AT_LEAST).min(MOST);
        self.rate = self.rate.max((self.rate + more).min(ceiling));
    }

    /// Bits to be added near the limit in the time in which too much is noticed: half a packet.
    fn step(&self) -> f64 {
        let picture = self.rate / PICTURES;
        picture / (picture / (PACKET * 8.0)).ceil() / 2.0
    }

    /// A trial has shown that the network carries so much.
    pub fn shown(&mut self, rate: f64) {
        if self.limit.as_ref().is_some_and(|limit| rate > limit.mean + limit.reach()) {
            self.limit = None;
        }
        self.rate = self.rate.max(rate.min(MOST));
    }
}
