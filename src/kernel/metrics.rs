//! What `/metrics` tells, counted where it happens.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use wello_wire::stanza::Kind;

use crate::media::MediaMetrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StanzaLabels {
    kind: KindLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum KindLabel {
    #[allow(non_camel_case_types)]
    iq,
    #[allow(non_camel_case_types)]
    message,
    #[allow(non_camel_case_types)]
    presence,
}

impl From<Kind> for StanzaLabels {
    fn from(kind: Kind) -> StanzaLabels {
        let kind = match kind {
            Kind::Iq => KindLabel::iq,
            Kind::Message => KindLabel::message,
            Kind::Presence => KindLabel::presence,
        };
        StanzaLabels { kind }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuthLabels {
    pub mechanism: &'static str,
    pub outcome: &'static str,
}

/// Stanzas by their kind. The counters are made once: one is counted with every stanza, and a family
/// is locked and searched.
#[derive(Clone)]
pub struct StanzaCounters {
    family: Family<StanzaLabels, Counter>,
    by_kind: [Counter; 3],
}

impl Default for StanzaCounters {
    fn default() -> StanzaCounters {
        let family = Family::<StanzaLabels, Counter>::default();
        let counter = |kind: Kind| family.get_or_create(&kind.into()).clone();
        let by_kind = [Kind::Iq, Kind::Message, Kind::Presence].map(counter);
        StanzaCounters { family, by_kind }
    }
}

impl StanzaCounters {
    pub fn count(&self, kind: Kind) {
        let [iq, message, presence] = &self.by_kind;
        match kind {
            Kind::Iq => iq.inc(),
            Kind::Message => message.inc(),
            Kind::Presence => presence.inc(),
        };
    }
}

/// Wakings by the app server inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PushLabels {
    pub gateway: &'static str,
    pub outcome: &'static str,
}

/// What the TURN server refused or dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    pub reason: &'static str,
}

/// The TURN server. Bytes are those of payloads.
#[derive(Clone, Default)]
pub struct TurnMetrics {
    pub allocations: Gauge,
    pub to_peers: Counter<u64, AtomicU64>,
    pub to_clients: Counter<u64, AtomicU64>,
    pub refusals: Family<RefusalLabels, Counter>,
}

impl TurnMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("turn_allocations", "Relayed addresses in use", self.allocations.clone());
        let mut bytes = |name, help, counter: &Counter<u64, AtomicU64>| {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        };
        bytes("turn_to_peers", "Relayed from clients to their peers", &self.to_peers);
        bytes("turn_to_clients", "Relayed from peers to clients", &self.to_clients);
        let help = "Requests refused and packets dropped by reason";
        registry.register("turn_refusals", help, self.refusals.clone());
    }
}

/// Streams with other servers by who opened them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabels {
    pub direction: &'static str,
}

/// Attempts to reach another server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    pub outcome: &'static str,
}

/// All metrics of the process. Clients of a metric keep no reference; they come here.
pub struct Metrics {
    pub registry: Registry,
    pub stanzas_received: StanzaCounters,
    pub stanzas_sent: StanzaCounters,
    pub remote_stanzas_received: StanzaCounters,
    pub remote_stanzas_sent: StanzaCounters,
    pub remote_stanzas_returned: StanzaCounters,
    pub remote_streams: Family<StreamLabels, Gauge>,
    pub remote_attempts: Family<OutcomeLabels, Counter>,
    pub logins: Family<AuthLabels, Counter>,
    pub pushes: Family<PushLabels, Counter>,
    pub handler_panics: Counter,
    pub sessions: Gauge,
    pub hibernating: Gauge,
    pub connections: Gauge,
    pub queued_bytes: Gauge,
    pub rooms: Gauge,
    pub room_occupants: Gauge,
    pub turn: TurnMetrics,
    pub media: MediaMetrics,
    pub store_batch_seconds: Histogram,
    pub store_messages: Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("wello");
        let metrics = Metrics {
            registry: Registry::default(),
            stanzas_received: StanzaCounters::default(),
            stanzas_sent: StanzaCounters::default(),
            remote_stanzas_received: StanzaCounters::default(),
            remote_stanzas_sent: StanzaCounters::default(),
            remote_stanzas_returned: StanzaCounters::default(),
            remote_streams: Family::default(),
            remote_attempts: Family::default(),
            logins: Family::default(),
            pushes: Family::default(),
            handler_panics: Counter::default(),
            sessions: Gauge::default(),
            hibernating: Gauge::default(),
            connections: Gauge::default(),
            queued_bytes: Gauge::default(),
            rooms: Gauge::default(),
            room_occupants: Gauge::default(),
            turn: TurnMetrics::default(),
            media: MediaMetrics::default(),
            // From a tenth of a millisecond to three seconds.
            store_batch_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            store_messages: Counter::default(),
        };
        let m = &metrics;
        registry.register(
            "stanzas_received",
            "Stanzas from clients",
            m.stanzas_received.family.clone(),
        );
        registry.register("stanzas_sent", "Stanzas to clients", m.stanzas_sent.family.clone());
        register_remote(&mut registry, m);
        registry.register("logins", "Logins by mechanism and outcome", m.logins.clone());
        registry.register("pushes", "Pushes by gateway and outcome", m.pushes.clone());
        registry.register("handler_panics", "Bugs caught in handlers", m.handler_panics.clone());
        registry.register("sessions", "Bound sessions", m.sessions.clone());
        registry.register("hibernating", "Sessions waiting to be resumed", m.hibernating.clone());
        registry.register("connections", "Open client connections", m.connections.clone());
        registry.register("rooms", "Rooms with somebody in them", m.rooms.clone());
        registry.register("room_occupants", "Occupants of all rooms", m.room_occupants.clone());
        m.turn.register(&mut registry);
        m.media.register(&mut registry);
        let help = "Waiting to be written to clients";
        registry.register_with_unit("queued", help, Unit::Bytes, m.queued_bytes.clone());
        let help = "From taking a batch to its commit";
        let latency = m.store_batch_seconds.clone();
        registry.register_with_unit("store_batch", help, Unit::Seconds, latency);
        registry.register("store_messages", "Messages stored", m.store_messages.clone());
        Metrics { registry, ..metrics }
    }
}

fn register_remote(registry: &mut Registry, m: &Metrics) {
    for (name, help, counters) in [
        (
            "remote_stanzas_received",
            "Stanzas from other servers and components",
            &m.remote_stanzas_received,
        ),
        ("remote_stanzas_sent", "Stanzas to other servers and components", &m.remote_stanzas_sent),
        (
            "remote_stanzas_returned",
            "Stanzas whose senders were told that they could not be sent",
            &m.remote_stanzas_returned,
        ),
    ] {
        registry.register(name, help, counters.family.clone());
    }
    let help = "Streams with other servers and components, by who opened them";
    registry.register("remote_streams", help, m.remote_streams.clone());
    let help = "Attempts to reach other servers by outcome";
    registry.register("remote_attempts", help, m.remote_attempts.clone());
}

impl Metrics {
    /// The text format of OpenMetrics 1.0.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
