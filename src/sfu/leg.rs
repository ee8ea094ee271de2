//! One transport and what goes over it.

use std::time::{Duration, Instant};

use crate::api::{ConferenceId, LegId, LegSpec, Mid, Payload, TrackId};
use crate::output::Output;

/// How long a client may take to be reachable, and how long it may be unreachable later.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Leg<P> {
    pub id: LegId,
    pub peer: P,
    pub conference: ConferenceId,
    pub payloads: Vec<Payload>,
    pub tracks: Vec<TrackId>,
    pub outputs: Vec<Sent>,
    pub connected: bool,
    /// It has something to send.
    pub dirty: bool,
    /// The earliest of its entries among the timers.
    pub timer: Option<Instant>,
    /// When it is given up, unless a check succeeds before.
    patience: Option<Instant>,
}

/// A source that is sent on the leg.
pub struct Sent {
    pub mid: Mid,
    pub source: u32,
    pub track: TrackId,
    /// The track that it is going to be switched to.
    pub next: Option<TrackId>,
    /// The output itself, while its track is not there.
    pub resting: Option<Output>,
}

impl<P> Leg<P> {
    pub fn new(peer: P, spec: &LegSpec, now: Instant) -> Leg<P> {
        Leg {
            id: spec.leg,
            peer,
            conference: spec.conference,
            payloads: spec.payloads.clone(),
            tracks: Vec::new(),
            outputs: Vec::new(),
            connected: false,
            dirty: false,
            timer: None,
            patience: Some(now + PATIENCE),
        }
    }

    pub fn connect(&mut self) {
        self.connected = true;
        self.patience = None;
    }

    /// Connectivity checks fail.
    pub fn lose(&mut self, now: Instant) {
        if self.patience.is_none() {
            self.patience = Some(now + PATIENCE);
        }
    }

    /// They succeed again.
    pub fn find(&mut self) {
        if self.connected {
            self.patience = None;
        }
    }

    pub fn is_given_up(&self, now: Instant) -> bool {
        self.patience.is_some_and(|until| until <= now)
    }

    /// When to look at it next, if its peer is content until then.
    pub fn due(&self, until: Instant) -> Instant {
        self.patience.map_or(until, |patience| patience.min(until))
    }
}
