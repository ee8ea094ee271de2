//! Rosters with versions (RFC 6121 §2, §2.6) and subscription requests that wait for an answer.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, words::words};

/// Who sees whose presence (RFC 6121 §2.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Subscription {
    #[default]
    None,
    /// The owner sees the contact.
    To,
    /// The contact sees the owner.
    From,
    Both,
}

words!(Subscription {
    None = "none",
    To = "to",
    From = "from",
    Both = "both",
});

/// One contact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RosterItem {
    /// Bare JID of the contact.
    pub jid: String,
    pub name: Option<String>,
    pub groups: Vec<String>,
    pub subscription: Subscription,
    /// The owner asked for a subscription and waits for the answer (`ask='subscribe'`).
    pub ask: bool,
    /// The owner approved a subscription beforehand (RFC 6121 §3.4).
    pub approved: bool,
}

/// Counts the changes of one roster; the first change gives version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RosterVersion(pub u64);

/// A whole roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    pub version: RosterVersion,
    /// Ordered by JID.
    pub items: Vec<RosterItem>,
}

/// One contact as a basis for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RosterEntry {
    pub item: Option<RosterItem>,
    /// Version at which this contact changed last, be it by removal; 0 when it was never there.
    pub version: RosterVersion,
}

/// What became of one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChange {
    Set(RosterItem),
    /// Bare JID of a contact that is gone.
    Removed(String),
}

/// Changes in the order in which they are to be pushed, one for each contact that changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RosterChanges {
    /// The roster's version after all of them.
    pub version: RosterVersion,
    /// Each with the version it leads to, ascending.
    pub changes: Vec<(RosterVersion, RosterChange)>,
}

/// Answer to a change that was decided on a [`RosterEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterUpdate {
    /// Done; the roster has this version now.
    Stored(RosterVersion),
    /// The contact changed meanwhile: load it and decide again.
    Conflict,
}

/// A subscription request to the owner that nobody has answered yet (RFC 6121 §3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRequest {
    /// Bare JID of who asks.
    pub contact: String,
    /// The presence stanza, to be delivered again at each login.
    pub stanza: Bytes,
}

/// How many removed contacts of one roster are remembered for [`Rosters::changes_since`];
/// clients with an older version get the whole roster. Bounds what adding and removing
/// contacts for ever can occupy.
pub const REMEMBERED_REMOVALS: u32 = 256;

/// Rosters by account (bare JID).
#[async_trait]
pub trait Rosters: Send + Sync {
    /// The whole roster; empty at version 0 when the account never had one.
    async fn load(&self, account: &str) -> Result<Roster, StoreError>;

    async fn entry(&self, account: &str, contact: &str) -> Result<RosterEntry, StoreError>;

    /// Stores a contact if it still has the version `expected`, and gives the roster a new version.
    async fn set(
        &self,
        account: &str,
        item: &RosterItem,
        expected: RosterVersion,
    ) -> Result<RosterUpdate, StoreError>;

    /// Removes a contact if it still has the version `expected`. Removing one that is not there
    /// changes nothing and returns the present version.
    async fn remove(
        &self,
        account: &str,
        contact: &str,
        expected: RosterVersion,
    ) -> Result<RosterUpdate, StoreError>;

    /// Changes after `since`; `None` when they are not known any more or `since` was never
    /// given out: send the whole roster.
    async fn changes_since(
        &self,
        account: &str,
        since: RosterVersion,
    ) -> Result<Option<RosterChanges>, StoreError>;

    /// Remembers a request, replacing an earlier one of the same contact.
    async fn add_request(
        &self,
        account: &str,
        request: &SubscriptionRequest,
    ) -> Result<(), StoreError>;

    /// `false` when there was none.
    async fn remove_request(&self, account: &str, contact: &str) -> Result<bool, StoreError>;

    /// In the order they came.
    async fn requests(&self, account: &str) -> Result<Vec<SubscriptionRequest>, StoreError>;
}
