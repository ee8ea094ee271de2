//! What the engine is told and what it tells. Plain data: the signalling may live elsewhere.
//!
//! Commands are not answered. Whoever gives them chooses ids, credentials and sources, so that it
//! can tell the other side at once.

use std::time::Duration;

use compact_str::CompactString;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    )*};
}

ids! {
    /// Those who hear each other.
    ConferenceId,
    /// One transport between a client and the engine.
    LegId,
    /// A source of audio or video that somebody sends, with all its layers.
    TrackId,
}

/// The name of a media section on its leg (RFC 9143): printable ASCII, at most 16 octets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(CompactString);

impl Mid {
    pub const MAX: usize = 16;

    /// `None` for what does not fit into a header extension.
    pub fn new(name: &str) -> Option<Mid> {
        let fits = (1..=Mid::MAX).contains(&name.len());
        (fits && name.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Mid(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a layer (RFC 8851): alphanumeric ASCII, at most 8 octets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid(CompactString);

impl Rid {
    pub const MAX: usize = 8;

    /// `None` for what does not fit.
    pub fn new(name: &str) -> Option<Rid> {
        let fits = (1..=Rid::MAX).contains(&name.len());
        (fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| Rid(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Opus,
    Vp8,
    Vp9,
    H264,
    Av1,
}

/// A payload type that is spoken on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    pub pt: u8,
    /// The payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    pub codec: Codec,
}

/// User name fragment and password (RFC 8445, section 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub password: String,
}

/// Of a certificate (RFC 8122, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// In lower case, such as `sha-256`.
    pub hash: String,
    pub bytes: Vec<u8>,
}

/// A leg as it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegSpec {
    pub leg: LegId,
    pub conference: ConferenceId,
    pub local: Credentials,
    pub remote: Credentials,
    /// Of the certificate that the other side has to show.
    pub fingerprint: Fingerprint,
    /// Whether the engine begins the DTLS handshake.
    pub dtls_client: bool,
    /// Whether the engine nominates.
    pub controlling: bool,
    pub payloads: Vec<Payload>,
    /// Ids and URIs of header extensions (RFC 8285); those that the engine does not know are ignored.
    pub extensions: Vec<(u8, String)>,
    pub tracks: Vec<TrackSpec>,
    pub outputs: Vec<OutputSpec>,
    pub data: Data,
}

/// Whether data channels (RFC 8831) pass a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Data {
    #[default]
    Off,
    /// Its client gets what others write.
    Reads,
    /// Others get what its client writes, too.
    Writes,
}

/// What the other side of a leg sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSpec {
    pub track: TrackId,
    pub mid: Mid,
    pub media: Media,
    /// Its source and that of its retransmissions; empty when the header extensions tell.
    pub sources: Vec<(u32, Option<u32>)>,
    /// From the worst to the best; empty when there is only one.
    pub layers: Vec<Rid>,
    /// Whether it is forwarded already.
    pub forwarded: bool,
}

/// What is sent to the other side of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    /// One that is not there leaves the output silent until it is switched.
    pub track: TrackId,
    pub mid: Mid,
    pub media: Media,
    pub source: u32,
    pub rtx: Option<u32>,
    /// The sender's payload types and what they are called on this leg; others are not sent.
    pub payloads: Vec<(u8, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Open(Box<LegSpec>),
    /// The other side has begun anew with these credentials (RFC 8445, section 9).
    Restart {
        leg: LegId,
        local: Credentials,
        remote: Credentials,
    },
    AddTrack {
        leg: LegId,
        track: TrackSpec,
    },
    RemoveTrack {
        track: TrackId,
    },
    /// Whether anybody gets it.
    Forward {
        track: TrackId,
        on: bool,
    },
    AddOutput {
        leg: LegId,
        output: OutputSpec,
    },
    RemoveOutput {
        leg: LegId,
        mid: Mid,
    },
    /// Whether the receiver wants it now.
    Pause {
        leg: LegId,
        mid: Mid,
        paused: bool,
    },
    /// Whether a conference is recorded from now on; what is, comes by `Engine::poll_taped`.
    Record {
        conference: ConferenceId,
        on: bool,
    },
    /// Makes a track of what all others in the conference say, mixed for this leg. It is Opus.
    AddMix {
        leg: LegId,
        track: TrackSpec,
    },
    /// An output is to get another track, with its payload types and what they are called on this
    /// leg, as soon as that has a picture that stands alone.
    Switch {
        leg: LegId,
        mid: Mid,
        track: TrackId,
        payloads: Vec<(u8, u8)>,
    },
    /// The best layer that the receiver wants; `None`: the best that there is.
    Limit {
        leg: LegId,
        mid: Mid,
        layer: Option<Rid>,
    },
    /// How many cameras of those who have spoken last the receiver wants, not counting what it sends
    /// itself by these legs; `None`: as many as everybody gets.
    Watch {
        leg: LegId,
        speakers: Option<usize>,
        own: Vec<LegId>,
    },
    /// Data channels once begun, or not any more.
    Data {
        leg: LegId,
        data: Data,
    },
    Close {
        leg: LegId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Media can pass.
    Connected { leg: LegId },
    /// The leg is no more; not told of those that were closed by a command.
    Closed { leg: LegId, why: Why },
    /// Who speaks in a conference now.
    Speaker { conference: ConferenceId, track: Option<TrackId> },
}

/// Why a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// No valid connectivity check in time.
    Unreachable,
    /// The handshake failed: another certificate, or nothing in common.
    Insecure,
    /// The other side has ended it.
    Hangup,
    /// It could not be opened as it was asked for.
    Refused,
}

/// How a leg does: the answer of `Engine::figures`. What was lately is of the last seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct LegFigures {
    pub leg: LegId,
    /// From its opening until media could pass; `None`: it cannot yet.
    pub joined_after: Option<Duration>,
    /// From us to the client and back, as the last connectivity check took.
    pub round_trip: Option<Duration>,
    /// What the way to the client is believed to carry, in bit/s; `None`: that is not looked at.
    pub estimate: Option<u64>,
    /// From the client.
    pub received: Flow,
    /// To the client.
    pub sent: Flow,
    pub outputs: Vec<OutputFigures>,
}

/// Media that passes a leg in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Of payload, lately, in bit/s.
    pub bitrate: u64,
    /// The share of packets that got lost lately, from 0 to 1.
    pub loss: Option<f32>,
    /// RFC 3550, section 6.4.1; the greatest of the sources.
    pub jitter: Option<Duration>,
}

/// A source as a client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFigures {
    pub mid: Mid,
    pub track: TrackId,
    /// The layer of simulcast that is sent; `None` when there is but one or nothing is sent.
    pub layer: Option<Rid>,
    /// The highest temporal layer that is sent; `None`: all that come.
    pub temporal: Option<u8>,
    /// How often the layer has changed.
    pub switches: u32,
}
