//! What the network to one receiver carries, from his transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01): Google congestion control
//! (draft-ietf-rmcat-gcc-02) for a sender who does not pace, since media is forwarded as it comes.
//!
//! A burst that comes at once waits for itself in the narrowest place. So what counts is how long the
//! first of a burst has waited, not the last: that is what those before it have left there.
//!
//! Inside, times are microseconds since the estimator began, rates are bit/s. Reports are the word of
//! a stranger: whatever they say, what is kept is bounded, and what is harmed is his own estimate.

mod arrival;
mod carried;
mod control;
mod history;
mod loss;
mod probe;
mod queue;
#[cfg(test)]
mod tests;
mod trend;

use std::time::{Duration, Instant};

use arrival::{Clock, Groups};
use carried::Carried;
use control::Control;
use history::{Fate, History, Packet};
use loss::Loss;
use probe::Prober;
use queue::Queue;
use trend::{Trend, Usage};

/// Weight of a new round trip in the smoothed one (RFC 6298, section 2).
const NEW_ROUND_TRIP: f64 = 0.125;
/// What is believed of a round trip until one is known, in microseconds.
const FIRST_ROUND_TRIP: i64 = 200_000;

pub struct Estimator {
    began: Instant,
    history: History,
    clock: Clock,
    groups: Groups,
    trend: Trend,
    queue: Queue,
    carried: Carried,
    loss: Loss,
    control: Control,
    prober: Prober,
    /// Of the newest group.
    usage: Usage,
    /// Smoothed, in microseconds.
    round_trip: Option<f64>,
    told: Option<u64>,
}

impl Estimator {
    /// `first`: bit/s that are believed before anything is known.
    pub fn new(first: u64, now: Instant) -> Estimator {
        Estimator {
            began: now,
            history: History::default(),
            clock: Clock::default(),
            groups: Groups::default(),
            trend: Trend::default(),
            queue: Queue::default(),
            carried: Carried::default(),
            loss: Loss::default(),
            control: Control::new(first),
            prober: Prober::default(),
            usage: Usage::Normal,
            round_trip: None,
            told: None,
        }
    }

    /// A packet of so many octets on the wire leaves; its transport-wide sequence number.
    pub fn sent(&mut self, octets: usize, now: Instant) -> u16 {
        let at = self.micros(now);
        let octets = u16::try_from(octets).unwrap_or(u16::MAX);
        let probes = self.prober.sent(octets, at);
        self.history.add(Packet { at, octets, probes, fate: Fate::Unknown })
    }

    /// What became of packets, by one feedback: sequence numbers and the arrivals in microseconds on
    /// the receiver's clock, `None` for what was not there. The estimate in bit/s, if it is another
    /// than was told before.
    pub fn reported(
        &mut self,
        fates: impl Iterator<Item = (u16, Option<i64>)>,
        now: Instant,
    ) -> Option<u64> {
        let now = self.micros(now);
        let mut is_over = false;
        let mut newest: Option<i64> = None;
        for (seq, arrival) in fates {
            let Some(packet) = self.history.settle(seq, arrival.is_some(), &mut self.loss) else {
                continue;
            };
            newest = newest.max(Some(packet.at));
            self.prober.settled(&packet);
            if let Some(arrival) = arrival {
                is_over |= self.arrived(&packet, arrival);
            }
        }
        let newest = newest?;
        self.took(now - newest);
        self.decide(is_over, newest, now);
        if self.told.is_none() {
            self.prober.postpone(now);
        }
        let rate = self.rate();
        (self.told.replace(rate) != Some(rate)).then_some(rate)
    }

    /// Whether it is too much.
    fn arrived(&mut self, packet: &Packet, arrival: i64) -> bool {
        let (arrival, is_anew) = self.clock.read(packet.at, arrival);
        if is_anew {
            self.groups = Groups::default();
            self.carried = Carried::default();
            self.queue = Queue::default();
            self.trend.forget();
        }
        self.carried.add(packet.octets, arrival);
        if packet.probes {
            // What the trial itself leaves in the queue is no sign of too much.
            self.prober.arrived(packet, arrival);
            self.groups = Groups::default();
            self.trend.forget();
            return false;
        }
        let Some(group) = self.groups.add(packet.at, arrival) else { return false };
        let trend = self.trend.add(&group);
        let is_long = self.queue.add(group.delay, trend == Usage::Under, group.sent);
        self.usage = if is_long { Usage::Over } else { trend };
        // Delays that differ much can look like a trend.
        self.usage == Usage::Over && !self.queue.is_short()
    }

    fn decide(&mut self, is_over: bool, newest: i64, now: i64) {
        let round_trip = self.round_trip.map_or(FIRST_ROUND_TRIP, |micros| micros as i64);
        if is_over && self.control.may_cut(round_trip, now) {
            self.control.cut(self.carried.lately(), now);
            self.queue.cut();
            self.prober.stop(now);
        } else if !is_over && self.usage == Usage::Normal && self.loss.permits_more() {
            self.control.grow(self.carried.long(), round_trip, now);
        } else {
            self.control.hold(now);
        }
        if let Some(share) = self.loss.verdict(now) {
            self.control.lose(share, self.carried.long());
        }
        if let Some(shown) = self.prober.verdict(newest, now) {
            self.control.shown(shown);
        }
    }

    fn took(&mut self, micros: i64) {
        let micros = micros.max(0) as f64;
        let round_trip = self.round_trip.get_or_insert(micros);
        *round_trip += NEW_ROUND_TRIP * (micros - *round_trip);
    }

    /// How many bit/s would be sent if the network carried them. What is above the estimate is tried
    /// out, and a third more, so that there is something to spare.
    pub fn aspire(&mut self, rate: u64, now: Instant) {
        let now = self.micros(now);
        self.prober.aspire(rate, now);
    }

    /// Octets of padding to be sent now by `sent`, to try whether the network carries more; mostly
    /// none. Packets of 250 octets to a whole one will do.
    pub fn padding(&mut self, now: Instant) -> usize {
        let now = self.micros(now);
        // Before the first report nobody would tell the outcome.
        if self.told.is_none() {
            return 0;
        }
        if self.loss.is_heavy() {
            self.prober.stop(now);
        } else if self.usage != Usage::Normal || !self.queue.is_short() {
            self.prober.postpone(now);
        }
        self.prober.padding(self.control.rate(), now)
    }

    /// When `padding` is to be asked next, at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.told?;
        let due = self.prober.due(self.control.rate())?;
        self.began.checked_add(Duration::from_micros(u64::try_from(due).ok()?))
    }

    /// The estimate, in bit/s.
    pub fn rate(&self) -> u64 {
        self.control.rate() as u64
    }

    /// From sending to being told of it, smoothed: with the time that the receiver gathers reports.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|micros| Duration::from_micros(micros as u64))
    }

    /// The share of packets that were lost lately, from 0 to 1.
    pub fn loss(&self) -> f32 {
        self.loss.smoothed() as f32
    }

    fn micros(&self, now: Instant) -> i64 {
        let micros = now.saturating_duration_since(self.began).as_micros();
        i64::try_from(micros).unwrap_or(i64::MAX)
    }
}
