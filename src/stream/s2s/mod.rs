//! Streams between servers (RFC 6120; dialback: XEP-0220), without I/O and without a clock.
//!
//! Stanzas go one way, from the server that opened the stream, [`Outgoing`], to the one that accepted
//! it, [`Incoming`], or both ways if both want that (XEP-0288). What the two have in common is their
//! [`Exchange`]. Both are driven as [`crate::c2s::C2s`] is.

mod dialback;
mod exchange;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;
mod transit;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use compact_str::CompactString;
use wello_wire::jid::Jid;
use wello_wire::xml::Limits;

pub use dialback::{DialbackSecret, Verdict, Verification};
pub use exchange::{Exchange, Exchanged, Former, Remains};
pub use incoming::{Incoming, IncomingAction, Owner, Welcome};
pub use outgoing::{Negotiable, Outgoing, OutgoingAction, Refusal};
pub use transit::{Progress, Stranded};

/// The domain of a server, normalised as in addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(CompactString);

impl Domain {
    /// `None` for what is no address of a server (RFC 6120, section 4.7.1).
    pub fn parse(text: &str) -> Option<Domain> {
        let jid = text.parse::<Jid>().ok()?;
        jid.is_domain().then(|| Domain::of(&jid))
    }

    /// That of an address.
    pub fn of(jid: &Jid) -> Domain {
        Domain(jid.domain().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose stanzas a stream carries, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    pub from: Domain,
    pub to: Domain,
}

impl Pair {
    /// The way back.
    pub fn reversed(&self) -> Pair {
        Pair { from: self.to.clone(), to: self.from.clone() }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// What all streams between servers have in common.
#[derive(Debug)]
pub struct Settings {
    /// Those that this server answers for.
    pub domains: HashSet<Domain>,
    pub secret: DialbackSecret,
    pub limits_before_login: Limits,
    pub limits: Limits,
    /// Pairs that one stream may carry, and as many that wait for their verification.
    pub pairs: usize,
    /// Streams may carry stanzas both ways.
    pub bidi: bool,
    /// How long a stream whose connection broke may be resumed; zero: never.
    pub resumption: Duration,
}
