//! What str0m tells of a transport now and then, gathered into one report.

use std::time::{Duration, Instant};

use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats};

use super::Report;
use crate::meter::rate;

/// Of one leg. Those of its sources follow those of the peer: each round begins anew.
#[derive(Default)]
pub struct Gathered {
    told: Report,
    before: Option<Totals>,
}

#[derive(Clone, Copy)]
struct Totals {
    at: Instant,
    received: u64,
    sent: u64,
}

impl Gathered {
    pub fn report(&self) -> Report {
        self.told
    }

    pub fn peer(&mut self, stats: &PeerStats) {
        let now = Totals { at: stats.timestamp, received: stats.bytes_rx, sent: stats.bytes_tx };
        let checked = stats.selected_candidate_pair.as_ref();
        self.told = Report {
            round_trip: checked.and_then(|pair| pair.current_round_trip_time).or(stats.rtt),
            ..Report::default()
        };
        self.told.received.loss = stats.ingress_loss_fraction;
        self.told.sent.loss = stats.egress_loss_fraction;
        if let Some(before) = self.before.replace(now) {
            let elapsed = now.at.saturating_duration_since(before.at);
            self.told.received.bitrate = rate(now.received - before.received, elapsed);
            self.told.sent.bitrate = rate(now.sent - before.sent, elapsed);
        }
    }

    /// `clock`: of its timestamps, in Hz.
    pub fn ingress(&mut self, stats: &MediaIngressStats, clock: u32) {
        let received = &mut self.told.received;
        received.jitter = received.jitter.max(Some(ticks(stats.jitter, clock)));
        received.loss = greater(received.loss, stats.loss);
    }

    pub fn egress(&mut self, stats: &MediaEgressStats, clock: u32) {
        let sent = &mut self.told.sent;
        let jitter = stats.remote.as_ref().map(|remote| ticks(remote.jitter, clock));
        sent.jitter = sent.jitter.max(jitter);
        sent.loss = greater(sent.loss, stats.loss);
        self.told.round_trip = self.told.round_trip.or(stats.rtt);
    }
}

fn greater(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

fn ticks(count: u32, clock: u32) -> Duration {
    Duration::from_secs(u64::from(count)) / clock
}
