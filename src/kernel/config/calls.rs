//! Conferences and their media.

use std::net::IpAddr;

use serde::Deserialize;

use super::ConfigError;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// Conferences in rooms, at `calls.D`.
    pub conferences: bool,
    /// Where clients reach `listen.media`; empty: `turn.external_address`, or what this
    /// machine knows.
    pub addresses: Vec<IpAddr>,
    /// Of one conference.
    pub participants: usize,
    /// Streams that one participant may send, such as camera and screen.
    pub streams: usize,
    /// So many participants of a conference are seen: those who have spoken last. Streams without
    /// sound, such as screens, always are. 0: all.
    pub last_n: usize,
    /// Of one conference: clients of calls between two, for each of which the others are mixed.
    pub mixes: usize,
    /// Recordings of the whole server at once; 0: nothing is recorded.
    pub recordings: usize,
    /// Of one recording, which ends there.
    pub recording_bytes: u64,
    /// Transports of the whole server: one for each stream that is sent or received.
    pub transports: usize,
    /// Members of a room are rung when its conference begins.
    pub ring: bool,
    /// How long somebody may be alone in a conference.
    pub idle_seconds: u64,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            conferences: true,
            addresses: Vec::new(),
            participants: 50,
            streams: 3,
            last_n: 25,
            mixes: 8,
            recordings: 4,
            recording_bytes: 4 << 30,
            transports: 5000,
            ring: true,
            idle_seconds: 1800,
        }
    }
}

impl Calls {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.participants == 0 || self.streams == 0 || self.transports == 0 {
            return value("calls", "participants, streams and transports must be at least 1");
        }
        if self.addresses.iter().any(|address| address.is_unspecified() || address.is_multicast()) {
            return value("calls.addresses", "must be addresses of this server");
        }
        Ok(())
    }
}
