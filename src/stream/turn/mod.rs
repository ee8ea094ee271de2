//! A TURN server without I/O (RFC 8656): one [`Allocation`] for each client that has one, requests
//! in, answers and packets out. Credentials are those of XEP-0215: they say when they end, and
//! nothing is kept for a client that has not shown any.
//!
//! Left out: TCP allocations (RFC 6062), a second address family in one allocation, DONT-FRAGMENT,
//! passing on ICMP, and MESSAGE-INTEGRITY-SHA256, which no client of this field sends.

mod allocation;
mod credentials;
mod request;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

pub use allocation::{Allocation, Via};
pub use credentials::{Authority, issue};
pub use request::handle;

/// Channel numbers. RFC 8656 (section 12) ends them at 0x4FFF. COMPAT: clients of RFC 5766
/// (section 11), such as coturn's, choose among all of these, and nothing else begins like them.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7FFE;
/// Of a ChannelData message.
pub const CHANNEL_HEADER: usize = 4;

/// What an allocation asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub client: SocketAddr,
    /// Whose credentials these are.
    pub user: Box<str>,
    pub ipv6: bool,
    pub port: PortWish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortWish {
    Any,
    Even,
    /// Even, and the next one kept for whoever comes with the token.
    EvenAndNext,
    /// The one that was kept.
    Reserved([u8; 8]),
}

/// What an allocation gets.
pub struct Opened<R> {
    pub relay: R,
    /// As others see it.
    pub address: SocketAddr,
    /// For [`PortWish::EvenAndNext`].
    pub token: Option<[u8; 8]>,
}

/// What the server around an allocation decides.
pub trait Host {
    /// The socket of an allocation, with all that counts it.
    type Relay;

    /// Seconds since 1970.
    fn unix(&self) -> i64;

    /// Whether one more answer may go to a client that has proved nothing: its address may be
    /// that of a victim.
    fn may_answer(&self, client: SocketAddr) -> bool;

    /// `None`: no packets to there.
    fn reach(&self, peer: IpAddr) -> Option<Reach>;

    /// Whether a port of this machine is one that relayed packets may go to.
    fn is_open(&self, peer: SocketAddr) -> bool;

    /// # Errors
    /// A quota is used up, or there is no port or address.
    fn open(&self, wish: Wish) -> Result<Opened<Self::Relay>, Refusal>;

    /// Bytes per second of one allocation in one direction; 0 is no limit.
    fn bytes_per_second(&self) -> u64;
}

/// What of an address may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Everything,
    /// It is this machine's: not its other services.
    OpenPorts,
}

/// What became of a packet from a client.
#[derive(Debug)]
pub enum Outcome<R> {
    /// Nothing, and nobody is told.
    Dropped(Refusal),
    /// The answer is in the buffer.
    Answered,
    /// The same, and it says no.
    Refused(Refusal),
    /// The same, and from now on there is this allocation.
    Allocated(Box<Allocation>, R),
    /// The same, and the allocation is over.
    Ended,
    /// Part of the packet goes to a peer.
    Relayed { peer: SocketAddr, payload: Range<usize> },
}

/// Why a request fails or a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    AddressFamily,
    AddressQuota,
    BadRequest,
    Bandwidth,
    Capacity,
    Credentials,
    Expired,
    Forbidden,
    Malformed,
    Mismatch,
    NoChannel,
    NoCredentials,
    NoPermission,
    OtherUser,
    PeerFamily,
    RateLimit,
    StaleNonce,
    Transport,
    UnknownAttribute,
    UserQuota,
}

impl Refusal {
    /// RFC 8656, section 19, and RFC 8489, section 14.8.
    pub fn code(self) -> u16 {
        match self {
            Refusal::BadRequest | Refusal::Malformed | Refusal::RateLimit => 400,
            Refusal::Credentials | Refusal::Expired | Refusal::NoCredentials => 401,
            Refusal::Forbidden | Refusal::NoPermission => 403,
            Refusal::UnknownAttribute => 420,
            Refusal::Mismatch | Refusal::NoChannel => 437,
            Refusal::StaleNonce => 438,
            Refusal::AddressFamily => 440,
            Refusal::OtherUser => 441,
            Refusal::Transport => 442,
            Refusal::PeerFamily => 443,
            Refusal::AddressQuota | Refusal::UserQuota => 486,
            Refusal::Bandwidth | Refusal::Capacity => 508,
        }
    }

    /// For people and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::AddressFamily => "address family not supported",
            Refusal::AddressQuota => "too many allocations from this address",
            Refusal::BadRequest => "bad request",
            Refusal::Bandwidth => "too much data",
            Refusal::Capacity => "no capacity",
            Refusal::Credentials => "wrong credentials",
            Refusal::Expired => "expired credentials",
            Refusal::Forbidden => "forbidden peer address",
            Refusal::Malformed => "malformed",
            Refusal::Mismatch => "allocation mismatch",
            Refusal::NoChannel => "no such channel",
            Refusal::NoCredentials => "no credentials",
            Refusal::NoPermission => "no permission",
            Refusal::OtherUser => "allocation of another user",
            Refusal::PeerFamily => "peer of another address family",
            Refusal::RateLimit => "too many requests",
            Refusal::StaleNonce => "stale nonce",
            Refusal::Transport => "unsupported transport",
            Refusal::UnknownAttribute => "unknown attribute",
            Refusal::UserQuota => "too many allocations of this user",
        }
    }
}

/// Time since some start, which never goes back.
pub type Now = Duration;
