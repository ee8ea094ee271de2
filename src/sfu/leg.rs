//! One transport and what goes over it.

use std::time::{Duration, Instant};

use crate::allowance::Allowance;
use crate::api::{ConferenceId, Data, LegId, LegSpec, Mid, Payload, TrackId};
use crate::output::Output;

/// How long a client may take to be reachable, and how long it may be unreachable later.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at what its network carries; at once when that is said to be less.
const CHOOSE_EVERY: Duration = Duration::from_millis(250);

pub struct Leg<P> {
    pub id: LegId,
    pub peer: P,
    pub conference: ConferenceId,
    pub payloads: Vec<Payload>,
    pub tracks: Vec<TrackId>,
    pub outputs: Vec<Sent>,
    pub connected: bool,
    /// From the opening until media could pass.
    pub joined_after: Option<Duration>,
    /// How much of the conference it wants to see, if not all that there is.
    pub view: Option<View>,
    /// It has something to send.
    pub dirty: bool,
    /// The earliest of its entries among the timers.
    pub timer: Option<Instant>,
    pub data: Data,
    /// For what its client writes on data channels.
    pub allowance: Allowance,
    /// Octets of messages that wait until its client takes them.
    pub waiting: usize,
    opened: Instant,
    estimate: Option<Estimate>,
    /// When it is given up, unless a check succeeds before.
    patience: Option<Instant>,
}

/// A wish for the cameras of so many who have spoken last.
pub struct View {
    pub speakers: usize,
    /// The legs by which its client sends.
    pub own: Vec<LegId>,
}

/// What its network carries.
#[derive(Clone, Copy)]
struct Estimate {
    /// Bit/s.
    rate: u64,
    /// When layers are to be chosen for it next.
    due: Instant,
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
            joined_after: None,
            view: None,
            dirty: false,
            timer: None,
            data: Data::Off,
            allowance: Allowance::new(now),
            waiting: 0,
            opened: now,
            estimate: None,
            patience: Some(now + PATIENCE),
        }
    }

    /// How long it has taken.
    pub fn connect(&mut self, now: Instant) -> Duration {
        self.connected = true;
        self.patience = None;
        *self.joined_after.get_or_insert(now.saturating_duration_since(self.opened))
    }

    /// Its network carries so much, in bit/s.
    pub fn estimated(&mut self, rate: u64, now: Instant) {
        let due = match self.estimate {
            Some(before) if before.rate <= rate => before.due,
            _ => now,
        };
        self.estimate = Some(Estimate { rate, due });
    }

    /// What its network carries, in bit/s; `None`: that is not looked at.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate.map(|estimate| estimate.rate)
    }

    /// What its network carries, when layers are to be chosen for it now.
    pub fn choosing(&mut self, now: Instant) -> Option<u64> {
        let estimate = self.estimate.as_mut().filter(|estimate| estimate.due <= now)?;
        estimate.due = now + CHOOSE_EVERY;
        Some(estimate.rate)
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
        let chosen = self.estimate.map(|estimate| estimate.due);
        [self.patience, chosen].into_iter().flatten().fold(until, Instant::min)
    }
}
