//! Messages that are kept, and the places where they go.

use serde::Deserialize;

use super::Audience;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ArchivePolicy {
    Always,
    Roster,
    Never,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    pub enabled: bool,
    pub policy: ArchivePolicy,
    pub keep_days: u32,
    pub page_size: u32,
    pub page_max: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Offline {
    pub enabled: bool,
    pub messages: u64,
    pub bytes: u64,
}

/// Nodes of accounts and of the service `pubsub.D` (XEP-0060).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PubSub {
    /// Who may make nodes at `pubsub.D`.
    pub create: Audience,
    pub nodes: u64,
    pub items: u64,
    pub item_bytes: usize,
    pub bytes: u64,
    pub subscriptions: u64,
    pub affiliations: u64,
}

/// Multi-user chat (XEP-0045).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// Who may make rooms.
    pub create: Audience,
    /// Rooms that one account may own.
    pub per_account: usize,
    /// Of one room.
    pub occupants: usize,
    /// Of one room, outcasts included.
    pub affiliations: usize,
    pub nick_bytes: usize,
    /// From one account to one room; 0 is no limit.
    pub presence_per_minute: u32,
    /// Messages that newcomers may be shown, whatever a room's owner wants.
    pub history: u32,
    /// What a new room begins with, until its owner changes it.
    pub default_history: u32,
    pub persistent: bool,
    pub public: bool,
}
