//! What a peer may send, and how many there may be.

use std::time::Duration;

use serde::Deserialize;
use wello_wire::xml::Limits;

/// How fast a peer may send, in the long run and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub bytes_per_second: u64,
    pub burst_bytes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    pub stanza_bytes: usize,
    pub depth: usize,
    pub attributes: usize,
    pub elements: usize,
    pub preauth_stanza_bytes: usize,
    pub preauth_elements: usize,
    pub login_seconds: u64,
    pub idle_seconds: u64,
    pub rate_bytes_per_second: u64,
    pub burst_bytes: u64,
    /// The same for administrators.
    pub admin_rate_bytes_per_second: u64,
    pub admin_burst_bytes: u64,
    /// Of one session within a minute; 0: no limit.
    pub presence_per_minute: u32,
    pub joins_per_minute: u32,
    pub requests_per_minute: u32,
    pub outbox_bytes: usize,
    pub connections: usize,
    pub unauthenticated: usize,
    pub unauthenticated_per_address: usize,
    pub roster_items: usize,
}

impl LimitsConfig {
    /// Of a client's connection.
    pub fn rate(&self) -> Rate {
        Rate { bytes_per_second: self.rate_bytes_per_second, burst_bytes: self.burst_bytes }
    }

    /// Of an administrator's connection.
    pub fn admin_rate(&self) -> Rate {
        Rate {
            bytes_per_second: self.admin_rate_bytes_per_second,
            burst_bytes: self.admin_burst_bytes,
        }
    }

    /// For a peer that has logged in.
    pub fn stream(&self) -> Limits {
        Limits {
            stanza_bytes: self.stanza_bytes,
            depth: self.depth,
            attributes: self.attributes,
            elements: self.elements,
        }
    }

    /// For a peer that has not.
    pub fn before_login(&self) -> Limits {
        Limits {
            stanza_bytes: self.preauth_stanza_bytes,
            elements: self.preauth_elements,
            ..self.stream()
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    pub per_account: usize,
    pub hibernate_seconds: u64,
    pub unacked_bytes: usize,
    pub drain_seconds: u64,
}

impl Sessions {
    pub fn hibernation(&self) -> Duration {
        Duration::from_secs(self.hibernate_seconds)
    }
}
