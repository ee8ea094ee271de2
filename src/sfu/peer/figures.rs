//! What str0m tells of a transport now and then, gathered into one report.

use std::time::{Duration, Instant};

use str0m::stats::{MediaIngressStats, PeerStats};

use super::Report;
use crate::api::Flow;
use crate::egress::Egress;
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

    pub fn peer(&mut self, stats: &PeerStats, egress: &Egress) {
        let now = Totals { at: stats.timestamp, received: stats.bytes_rx, sent: egress.octets() };
        let checked = stats.selected_candidate_pair.as_ref();
        let checked = checked.and_then(|pair| pair.current_round_trip_time);
        self.told = Report {
            round_trip: checked.or(egress.round_trip()),
            received: Flow { loss: stats.ingress_loss_fraction, ..Flow::default() },
            sent: egress.flow(),
        };
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
