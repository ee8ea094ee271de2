//! What accounts show to whom, and strangers who write to them.

use async_trait::async_trait;
use serde::Deserialize;

use crate::{ArchiveId, StoreError, Timestamp, words::words};

/// Who may see something of an account; each includes those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewers {
    Nobody,
    /// Those with a subscription to its presence.
    Contacts,
    Everyone,
}

words!(Viewers {
    Nobody = "nobody",
    Contacts = "contacts",
    Everyone = "everyone",
});

/// What becomes of messages from addresses that the account does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrangerPolicy {
    Accept,
    /// Kept in the archive, but no device is told before the user has decided.
    Quarantine,
    Refuse,
}

words!(StrangerPolicy {
    Accept = "accept",
    Quarantine = "quarantine",
    Refuse = "refuse",
});

/// What an account has chosen; `None` is what its host has as a default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrivacyChoice {
    pub presence: Option<Viewers>,
    pub last_seen: Option<Viewers>,
    pub strangers: Option<StrangerPolicy>,
    /// The name under which others find it; none when it is not to be found.
    pub listed_as: Option<String>,
}

/// An account that is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub account: String,
    pub name: String,
}

/// What has been decided about a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrangerVerdict {
    /// Nothing yet: the messages are held back.
    Held,
    /// The user wrote to them, or let them in.
    Accepted,
    Refused,
}

words!(StrangerVerdict {
    Held = "held",
    Accepted = "accepted",
    Refused = "refused",
});

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Bare JID.
    pub peer: String,
    pub verdict: StrangerVerdict,
    /// Of the verdict.
    pub since: Timestamp,
    /// What is held back, by its ids in the account's archive, oldest first.
    pub held: Vec<ArchiveId>,
}

/// How much one account's quarantine may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineLimits {
    pub strangers: u32,
    /// Of one stranger.
    pub messages: u32,
}

/// Verdicts that are remembered for one account; the oldest ones give way. Bounds what writing to
/// ever new addresses can occupy.
pub const REMEMBERED_VERDICTS: u32 = 10_000;

/// Privacy by account (bare JID).
#[async_trait]
pub trait Privacy: Send + Sync {
    /// `None` when the account never chose anything.
    async fn choice(&self, account: &str) -> Result<Option<PrivacyChoice>, StoreError>;

    async fn choose(&self, account: &str, choice: &PrivacyChoice) -> Result<(), StoreError>;

    /// Accounts of a domain that are to be found, in the order of their addresses.
    async fn listed(&self, domain: &str, limit: u32) -> Result<Vec<Listed>, StoreError>;

    async fn stranger(&self, account: &str, peer: &str) -> Result<Option<Stranger>, StoreError>;

    /// Those about whom nothing is decided, the oldest first.
    async fn held(&self, account: &str) -> Result<Vec<Stranger>, StoreError>;

    /// Notes a message that is held back. `false` when there is no room, or something has been
    /// decided meanwhile; nothing is changed.
    async fn hold(
        &self,
        account: &str,
        peer: &str,
        message: ArchiveId,
        at: Timestamp,
        limits: QuarantineLimits,
    ) -> Result<bool, StoreError>;

    /// Notes what is decided; returns what was held back until now.
    async fn decide(
        &self,
        account: &str,
        peer: &str,
        verdict: StrangerVerdict,
        at: Timestamp,
    ) -> Result<Vec<ArchiveId>, StoreError>;
}
