//! The way to the media engine. Who has sockets runs it; features give it commands.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use thiserror::Error;
use tokio::sync::oneshot;
use wello_sfu::Totals;
use wello_sfu::api::{Command, ConferenceId, Fingerprint, LegFigures};
use wello_sfu::tape::Taped;

/// The engine takes no more commands at the moment, or there is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the media engine takes no commands")]
pub struct Busy;

pub trait MediaEngine: Send + Sync {
    /// Where clients reach it for this conference, by UDP and by TCP.
    fn addresses(&self, conference: ConferenceId) -> &[SocketAddr];

    /// Of its certificate.
    fn fingerprint(&self) -> &Fingerprint;

    /// Commands are done in the order in which they are posted.
    fn post(&self, command: Command) -> Result<(), Busy>;

    fn ask(&self, question: Question) -> Result<(), Busy>;
}

/// How do the legs of a conference do?
#[derive(Debug)]
pub struct Question {
    pub conference: ConferenceId,
    pub answer: oneshot::Sender<Vec<LegFigures>>,
}

/// Whoever writes down what conferences say and show.
pub trait TapeRecorder: Send + Sync {
    /// Called by the thread of the engine: it must not wait.
    fn take(&self, packet: Taped);
}

/// The engine, once there is one: commands of the operator have none.
#[derive(Default)]
pub struct Media {
    engine: OnceLock<Arc<dyn MediaEngine>>,
    recorder: OnceLock<Arc<dyn TapeRecorder>>,
}

impl Media {
    /// The first one counts.
    pub fn install(&self, engine: Arc<dyn MediaEngine>) {
        let _ = self.engine.set(engine);
    }

    /// The first one counts.
    pub fn record_by(&self, recorder: Arc<dyn TapeRecorder>) {
        let _ = self.recorder.set(recorder);
    }

    pub fn recorder(&self) -> Option<&Arc<dyn TapeRecorder>> {
        self.recorder.get()
    }

    pub fn engine(&self) -> Option<&Arc<dyn MediaEngine>> {
        self.engine.get()
    }

    pub fn post(&self, command: Command) -> Result<(), Busy> {
        self.engine.get().ok_or(Busy)?.post(command)
    }

    /// How the legs of a conference do; none when the engine knows no such conference.
    pub async fn figures(&self, conference: ConferenceId) -> Result<Vec<LegFigures>, Busy> {
        let (answer, answered) = oneshot::channel();
        self.engine.get().ok_or(Busy)?.ask(Question { conference, answer })?;
        answered.await.map_err(|_| Busy)
    }
}

/// What `/metrics` tells of the engine.
pub struct MediaMetrics {
    conferences: Gauge,
    transports: Gauge,
    tracks: Gauge,
    packets_received: Counter,
    packets_sent: Counter,
    bytes_received: Counter,
    bytes_sent: Counter,
    foreign: Counter,
    keyframes: Counter,
    held_back: Counter,
    joins: Counter,
    joining: Counter,
    untaped: Counter,
    panics: Counter,
    /// Samples of all transports.
    round_trip: Histogram,
    received_loss: Histogram,
    sent_loss: Histogram,
    estimate: Histogram,
}

impl Default for MediaMetrics {
    fn default() -> MediaMetrics {
        let share = || Histogram::new([0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]);
        MediaMetrics {
            conferences: Gauge::default(),
            transports: Gauge::default(),
            tracks: Gauge::default(),
            packets_received: Counter::default(),
            packets_sent: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            foreign: Counter::default(),
            keyframes: Counter::default(),
            held_back: Counter::default(),
            untaped: Counter::default(),
            joins: Counter::default(),
            joining: Counter::default(),
            panics: Counter::default(),
            round_trip: Histogram::new([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]),
            received_loss: share(),
            sent_loss: share(),
            estimate: Histogram::new([1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7]),
        }
    }
}

impl MediaMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("media");
        registry.register("conferences", "Conferences with media", self.conferences.clone());
        registry.register("transports", "Transports with clients", self.transports.clone());
        registry.register("tracks", "Sources of audio and video", self.tracks.clone());
        let received = self.packets_received.clone();
        registry.register("packets_received", "Media packets from clients", received);
        registry.register("packets_sent", "Media packets to clients", self.packets_sent.clone());
        let received = self.bytes_received.clone();
        registry.register("payload_bytes_received", "Media from clients", received);
        registry.register("payload_bytes_sent", "Media to clients", self.bytes_sent.clone());
        let help = "Datagrams that belong to no transport";
        registry.register("foreign_datagrams", help, self.foreign.clone());
        let help = "Pictures that stand alone that senders were asked for";
        registry.register("keyframes_requested", help, self.keyframes.clone());
        let help = "Packets of silent microphones and of cameras beyond the last speakers";
        registry.register("held_back_packets", help, self.held_back.clone());
        registry.register("joins", "Transports over which media could pass", self.joins.clone());
        let help = "What that took together, in milliseconds";
        registry.register("joining_milliseconds", help, self.joining.clone());
        let help = "Packets that were to be recorded and are not";
        registry.register("unrecorded_packets", help, self.untaped.clone());
        registry.register("panics", "Bugs that ended a transport", self.panics.clone());
        self.register_samples(registry);
    }

    fn register_samples(&self, registry: &mut Registry) {
        let help = "From here to a client and back, of all transports every 10 seconds";
        let round_trip = self.round_trip.clone();
        registry.register_with_unit("round_trip", help, Unit::Seconds, round_trip);
        let help = "Lost share of what clients send, likewise";
        registry.register("received_loss", help, self.received_loss.clone());
        let help = "Lost share of what is sent to clients, likewise";
        registry.register("sent_loss", help, self.sent_loss.clone());
        let help = "Bit/s that the networks of clients carry where that is estimated, likewise";
        registry.register("estimate", help, self.estimate.clone());
    }

    /// How a transport does now.
    pub fn sample(&self, figures: &LegFigures) {
        let told = [
            (&self.round_trip, figures.round_trip.map(|time| time.as_secs_f64())),
            (&self.received_loss, figures.received.loss.map(f64::from)),
            (&self.sent_loss, figures.sent.loss.map(f64::from)),
            (&self.estimate, figures.estimate.map(|rate| rate as f64)),
        ];
        for (histogram, value) in told {
            value.into_iter().for_each(|value| histogram.observe(value));
        }
    }

    /// Of one engine; `before` is what it told the last time.
    pub fn update(&self, before: &Totals, now: &Totals) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (gauge, before, now) in [
            (&self.conferences, before.conferences, now.conferences),
            (&self.transports, before.legs, now.legs),
            (&self.tracks, before.tracks, now.tracks),
        ] {
            gauge.inc_by(count(now) - count(before));
        }
        for (counter, before, now) in [
            (&self.packets_received, before.packets_in, now.packets_in),
            (&self.packets_sent, before.packets_out, now.packets_out),
            (&self.bytes_received, before.bytes_in, now.bytes_in),
            (&self.bytes_sent, before.bytes_out, now.bytes_out),
            (&self.foreign, before.foreign, now.foreign),
            (&self.keyframes, before.keyframes, now.keyframes),
            (&self.held_back, before.held_back, now.held_back),
            (&self.joins, before.joins, now.joins),
            (&self.joining, before.joining, now.joining),
            (&self.untaped, before.untaped, now.untaped),
            (&self.panics, before.panics, now.panics),
        ] {
            counter.inc_by(now.saturating_sub(before));
        }
    }
}
