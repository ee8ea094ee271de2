//! Rooms that outlive their occupants (XEP-0045) and who has an affiliation with them.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp, words::words};

/// A persistent room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRoom {
    /// Its address, `local@domain`.
    pub jid: String,
    /// Tells it from an earlier room of the same address.
    pub created: i64,
    /// Counts the changes; a row with a lower one never overwrites this one.
    pub version: i64,
    /// Shown to everybody who asks for a list.
    pub listed: bool,
    pub name: String,
    pub description: String,
    /// The rest of its configuration, in the caller's own format.
    pub settings: String,
    /// The message that set the subject.
    pub subject: Option<Bytes>,
}

/// XEP-0045, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum RoomAffiliation {
    Outcast,
    #[default]
    None,
    Member,
    Admin,
    Owner,
}

words!(RoomAffiliation {
    Outcast = "outcast",
    None = "none",
    Member = "member",
    Admin = "admin",
    Owner = "owner",
});

/// What an account is in a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredAffiliation {
    /// Bare JID.
    pub jid: String,
    /// `None` for one that was taken back (XEP-0463 tells of those).
    pub affiliation: RoomAffiliation,
    /// The nickname that nobody else may use.
    pub nick: Option<String>,
    /// Version of the room that brought it.
    pub version: i64,
}

/// A room in which somebody has an affiliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffiliatedRoom {
    pub jid: String,
    pub affiliation: RoomAffiliation,
    /// When they were last in it, if ever.
    pub seen: Option<Timestamp>,
}

/// Persistent rooms by address.
#[async_trait]
pub trait Rooms: Send + Sync {
    /// With all affiliations, ordered by JID.
    async fn load(
        &self,
        jid: &str,
    ) -> Result<Option<(StoredRoom, Vec<StoredAffiliation>)>, StoreError>;

    /// Makes the room and its affiliations; one of the same address goes with all it had.
    async fn create(
        &self,
        room: &StoredRoom,
        affiliations: &[StoredAffiliation],
    ) -> Result<(), StoreError>;

    /// Stores what is newer than what is there, of a room that still exists; `false` when it
    /// does not.
    async fn update(
        &self,
        room: &StoredRoom,
        changed: &[StoredAffiliation],
    ) -> Result<bool, StoreError>;

    /// Forgets affiliations that were taken back up to this version of the room.
    async fn prune(&self, jid: &str, version: i64) -> Result<u64, StoreError>;

    /// `false` when there was none of that time.
    async fn delete(&self, jid: &str, created: i64) -> Result<bool, StoreError>;

    /// Listed rooms of a domain whose address comes after `after`, ordered by address.
    async fn listed(
        &self,
        domain: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError>;

    /// The same of all rooms, whoever may know of them.
    async fn of_domain(
        &self,
        domain: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError>;

    /// The rooms in which somebody has an affiliation, none and outcast left out.
    async fn affiliated(&self, jid: &str) -> Result<Vec<AffiliatedRoom>, StoreError>;

    /// Remembers when somebody with an affiliation was in the room.
    async fn set_seen(&self, room: &str, jid: &str, at: Timestamp) -> Result<(), StoreError>;

    /// How many rooms there are.
    async fn count(&self) -> Result<u64, StoreError>;
}
