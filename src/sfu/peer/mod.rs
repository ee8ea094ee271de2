//! What the engine needs of a WebRTC implementation for one leg.

pub mod bitstream;
mod data;
pub mod dependency;
mod figures;
mod keys;
mod setup;
pub mod webrtc;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

pub use data::{Channel, ChannelSpec, MAX_MESSAGE, Message, Reliability};

use crate::api::{Credentials, Flow, LegSpec, OutputSpec, TrackId, TrackSpec};

/// The other side of a leg: connectivity checks, encryption, retransmissions and reports.
///
/// After each call that takes `&mut self`, [`Peer::poll`] has to be called until it says
/// [`Polled::Until`].
pub trait Peer: Sized {
    /// What all legs of an engine share, such as its certificate.
    type Common;

    /// `here`: where the engine's socket is reached.
    fn open(
        common: &Self::Common,
        here: &[SocketAddr],
        spec: &LegSpec,
        now: Instant,
    ) -> Result<Self, PeerError>;

    /// Whether a datagram is for this leg: of a connectivity check, only when its password is right.
    fn accepts(&self, datagram: &Datagram<'_>, now: Instant) -> bool;

    fn receive(&mut self, datagram: &Datagram<'_>, now: Instant) -> Result<(), PeerError>;

    /// Time has passed.
    fn tick(&mut self, now: Instant) -> Result<(), PeerError>;

    fn poll(&mut self) -> Result<Polled, PeerError>;

    fn restart(&mut self, local: &Credentials, remote: &Credentials);

    fn add_track(&mut self, track: &TrackSpec) -> Result<(), PeerError>;

    fn remove_track(&mut self, track: TrackId);

    fn add_output(&mut self, output: &OutputSpec) -> Result<(), PeerError>;

    fn remove_output(&mut self, source: u32);

    /// Asks the sender for a picture that stands alone (RFC 4585, section 6.3.1).
    fn request_keyframe(&mut self, track: TrackId, layer: usize);

    /// Sends with the next [`Peer::poll`].
    fn write(&mut self, packet: Sending);

    /// How many bit/s would be sent if the network carried them: whether it does is tried out.
    fn aspire(&mut self, rate: u64);

    /// Begins what data channels need; when it has begun, nothing.
    fn start_data(&mut self);

    fn open_channel(&mut self, spec: &ChannelSpec) -> Channel;

    fn close_channel(&mut self, channel: Channel);

    /// Whether there was room for it. There is none before the other side has taken the channel.
    fn write_channel(&mut self, channel: Channel, message: &Message) -> bool;

    fn report(&self) -> Report;
}

/// How the transport does, as of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    pub round_trip: Option<Duration>,
    pub received: Flow,
    pub sent: Flow,
}

/// By what a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    /// A connection that the client has opened (RFC 6544).
    Tcp,
}

/// What came out of the socket.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    pub transport: Transport,
    pub source: SocketAddr,
    /// The address of ours that it was sent to.
    pub destination: SocketAddr,
    pub contents: &'a [u8],
}

/// Datagrams to be sent in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub transport: Transport,
    /// The address of ours that it comes from.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
    /// How long each of them is but the last one, which may be shorter.
    pub segment: usize,
}

impl Outgoing {
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.contents.chunks(self.segment.max(1))
    }
}

#[derive(Debug)]
pub enum Polled {
    /// Nothing more until then.
    Until(Instant),
    Send(Outgoing),
    Connected,
    /// Connectivity checks have failed for a while; it may come back.
    Lost,
    Found,
    Closed,
    Packet(Packet),
    /// What the network to the client carries, in bit/s. Only of legs that report on each packet.
    Estimate(u64),
    /// The receiver of this source asks for a picture that stands alone.
    KeyframeWanted(u32),
    /// The other side has opened a channel.
    Opened(Channel, ChannelSpec),
    Message(Channel, Message),
    ChannelClosed(Channel),
    /// Of no interest here.
    Nothing,
}

/// Of a header extension, to be passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// RFC 6464: in dBov, 0 is the loudest.
    pub level: Option<i8>,
    pub voice: Option<bool>,
    /// 3GPP TS 26.114, section 7.4.5: quarters of a turn.
    pub orientation: Option<u8>,
}

/// A packet as it came, decrypted; retransmissions look like what they repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub track: TrackId,
    /// Its place among the layers of the track.
    pub layer: usize,
    pub pt: u8,
    /// Extended by how often it has wrapped.
    pub seq: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub marks: Marks,
    pub arrived: Instant,
    /// When it was captured by the clock of its sender, in microseconds since 1970, as his last
    /// report says (RFC 3550, section 6.4.1).
    pub captured: Option<i64>,
    pub payload: Arc<[u8]>,
    /// What a header extension says of its frame ([`dependency`]).
    pub descriptor: Option<Arc<[u8]>>,
}

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    pub source: u32,
    pub pt: u8,
    pub seq: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub marks: Marks,
    pub arrived: Instant,
    pub payload: Arc<[u8]>,
    /// New numbers for the VP8 payload descriptor (RFC 7741, section 4.2).
    pub vp8: Option<bitstream::Vp8Numbers>,
    /// Few packets have it, and those that are kept for repairs are many.
    pub described: Option<Box<dependency::Described>>,
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PeerError {
    #[error("it cannot be set up like this: {0}")]
    Setup(&'static str),
    #[error("the handshake failed")]
    Handshake,
    #[error("the transport failed")]
    Transport,
}
