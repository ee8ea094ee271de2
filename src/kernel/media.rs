//! The way to the media engine. Who has sockets runs it; features give it commands.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thiserror::Error;
use wello_sfu::Totals;
use wello_sfu::api::{Command, Fingerprint};
use wello_sfu::tape::Taped;

/// The engine takes no more commands at the moment, or there is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the media engine takes no commands")]
pub struct Busy;

pub trait MediaEngine: Send + Sync {
    /// Where clients reach it.
    fn addresses(&self) -> &[SocketAddr];

    /// Of its certificate.
    fn fingerprint(&self) -> &Fingerprint;

    /// Commands are done in the order in which they are posted.
    fn post(&self, command: Command) -> Result<(), Busy>;
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
}

/// What `/metrics` tells of the engine.
#[derive(Default)]
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
    untaped: Counter,
    panics: Counter,
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
        let help = "Packets that were to be recorded and are not";
        registry.register("unrecorded_packets", help, self.untaped.clone());
        registry.register("panics", "Bugs that ended a transport", self.panics.clone());
    }

    /// `before` is what was told the last time.
    pub fn update(&self, before: &Totals, now: &Totals) {
        let gauge = |gauge: &Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        gauge(&self.conferences, now.conferences);
        gauge(&self.transports, now.legs);
        gauge(&self.tracks, now.tracks);
        for (counter, before, now) in [
            (&self.packets_received, before.packets_in, now.packets_in),
            (&self.packets_sent, before.packets_out, now.packets_out),
            (&self.bytes_received, before.bytes_in, now.bytes_in),
            (&self.bytes_sent, before.bytes_out, now.bytes_out),
            (&self.foreign, before.foreign, now.foreign),
            (&self.keyframes, before.keyframes, now.keyframes),
            (&self.untaped, before.untaped, now.untaped),
            (&self.panics, before.panics, now.panics),
        ] {
            counter.inc_by(now.saturating_sub(before));
        }
    }
}
