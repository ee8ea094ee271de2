//! The message archive (XEP-0313, XEP-0441): every message is stored once, with a small index
//! row for each archive it belongs to.

use async_trait::async_trait;
use bytes::Bytes;
use wello_wire::stanza::MessageType;

use crate::{ArchiveId, StoreError, Ticket, Timestamp, words::words};

/// `type` of a message (RFC 6121 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageKind {
    #[default]
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

impl From<MessageType> for MessageKind {
    fn from(type_: MessageType) -> MessageKind {
        match type_ {
            MessageType::Chat => MessageKind::Chat,
            MessageType::Error => MessageKind::Error,
            MessageType::Groupchat => MessageKind::Groupchat,
            MessageType::Headline => MessageKind::Headline,
            MessageType::Normal => MessageKind::Normal,
        }
    }
}

/// An archive that a message goes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Bare JID of the account or room.
    pub owner: String,
    /// Id of the message in this archive (XEP-0359 `stanza-id`).
    pub archive_id: ArchiveId,
    /// Bare JID of the other side. A full JID in a query is compared with the message's
    /// `from` and `to`.
    pub with: String,
}

/// A message to be stored.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The stanza as it will be sent out of the archive.
    pub stanza: Bytes,
    /// When the server received it.
    pub time: Timestamp,
    /// Full JID of the sender as stamped by the server (an occupant JID for rooms).
    pub from: String,
    /// The recipient's JID.
    pub to: String,
    pub kind: MessageKind,
    /// The stanza's `id`.
    pub message_id: Option<String>,
    /// Its `origin-id` (XEP-0359), where it differs from `message_id`.
    pub origin_id: Option<String>,
    /// Text for full-text search; none for what must not be found, such as encrypted bodies.
    pub text: Option<String>,
    /// None for a message that is stored for offline delivery only.
    pub owners: Vec<Owner>,
    /// Bare JID of the account that gets it at its next login
    /// (see [`Offline`](crate::Offline)).
    pub offline_for: Option<String>,
    /// Its id in that account's archive, when it is or was in there.
    pub offline_id: Option<ArchiveId>,
}

/// A message out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMessage {
    pub id: ArchiveId,
    /// The stanza, or the tombstone put in its place.
    pub stanza: Bytes,
    pub time: Timestamp,
    pub from: String,
    pub to: String,
    pub kind: MessageKind,
    pub retracted: bool,
}

/// From where a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anchor {
    /// The oldest results.
    #[default]
    First,
    /// The newest results (RSM's empty `<before/>`).
    Last,
    /// The results right after this one.
    After(ArchiveId),
    /// The results right before this one.
    Before(ArchiveId),
}

/// A query. Criteria that are given must all hold.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Bare JID of the account or room.
    pub owner: String,
    /// The other side: a bare JID for all its resources, or a full JID.
    pub with: Option<String>,
    /// Not before this moment, which is compared with the times in archive ids.
    pub start: Option<Timestamp>,
    /// Not after this moment.
    pub end: Option<Timestamp>,
    /// Only after this message (`urn:xmpp:mam:2#extended`).
    pub after_id: Option<ArchiveId>,
    /// Only before this message (`urn:xmpp:mam:2#extended`).
    pub before_id: Option<ArchiveId>,
    /// Only these messages, when not empty (`urn:xmpp:mam:2#extended`).
    pub ids: Vec<ArchiveId>,
    /// Only messages with all these words (XEP-0431).
    pub text: Option<String>,
    pub anchor: Anchor,
    /// Size of the page; 0 asks for the count alone.
    pub max: u32,
    /// Count all results, at the price of visiting them.
    pub count: bool,
}

/// A page of results, oldest first whatever the direction was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub messages: Vec<ArchivedMessage>,
    /// There is nothing further in the direction of paging.
    pub complete: bool,
    /// All results of the query, whatever the page; when it was asked for.
    pub count: Option<u64>,
}

impl Page {
    /// Id of its oldest message.
    pub fn first(&self) -> Option<ArchiveId> {
        self.messages.first().map(|message| message.id)
    }

    /// Id of its newest message.
    pub fn last(&self) -> Option<ArchiveId> {
        self.messages.last().map(|message| message.id)
    }
}

/// Why there is no page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// An id named in the query is not in the archive (`item-not-found`, XEP-0313 §4.1.2, §4.3.1).
    #[error("there is no message {0} in this archive")]
    ItemNotFound(ArchiveId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The two ends of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveBounds {
    pub first: (ArchiveId, Timestamp),
    pub last: (ArchiveId, Timestamp),
}

/// How far back in a conversation a message is looked for by its sender's id. These ids are not indexed:
/// looking is rare, and an index entry for each message would cost more than the message itself.
pub const FIND_WITHIN: u32 = 10_000;

/// Names a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageRef {
    /// By its id in the archive.
    Archive(ArchiveId),
    /// By its `origin-id` or its stanza's `id`, as given by its sender. Looks through the newest
    /// [`FIND_WITHIN`] messages of one conversation.
    Sent {
        /// Bare JID of the other side in the owner's archive.
        with: String,
        /// The sender: a full JID, or a bare one for all its resources.
        by: String,
        id: String,
    },
}

/// What goes into an archive by itself (XEP-0441).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ArchiveDefault {
    #[default]
    Always,
    Never,
    /// Only conversations with contacts.
    Roster,
}

words!(ArchiveDefault {
    Always = "always",
    Never = "never",
    Roster = "roster",
});

/// Archiving preferences (XEP-0441).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchivePrefs {
    pub default: ArchiveDefault,
    pub always: Vec<String>,
    pub never: Vec<String>,
}

/// Size of an archive, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveStats {
    /// Messages; one that is in several archives counts once.
    pub messages: u64,
    /// Bytes of their stanzas.
    pub bytes: u64,
}

/// Archives by their owner (bare JID).
///
/// Readers see everything that was appended before they were called: they wait for the batch
/// that was open at that moment.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Puts the entry into the batch that is to be written next, and returns at once; waits
    /// only while the write queue is full
    /// ([`Options::queue_bytes`](crate::Options::queue_bytes)). The ticket is done when the
    /// entry is on stable storage.
    async fn append(&self, entry: Entry) -> Result<Ticket, StoreError>;

    async fn query(&self, query: &Query) -> Result<Page, QueryError>;

    /// `None` when the archive is empty.
    async fn bounds(&self, owner: &str) -> Result<Option<ArchiveBounds>, StoreError>;

    /// The newest message that `which` names.
    async fn find(
        &self,
        owner: &str,
        which: &MessageRef,
    ) -> Result<Option<ArchivedMessage>, StoreError>;

    /// Puts `tombstone` in the place of a message, for everybody who has it, and takes it out of
    /// the full-text search (XEP-0424, XEP-0425). `false` without such a message.
    async fn retract(
        &self,
        owner: &str,
        id: ArchiveId,
        tombstone: &Bytes,
    ) -> Result<bool, StoreError>;

    /// `None` when the owner never set any.
    async fn prefs(&self, owner: &str) -> Result<Option<ArchivePrefs>, StoreError>;

    async fn set_prefs(&self, owner: &str, prefs: &ArchivePrefs) -> Result<(), StoreError>;

    /// Takes up to `limit` messages older than `before` out of all archives, or out of one.
    /// Call it until it returns less than `limit`.
    async fn expire(
        &self,
        owner: Option<&str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Empties an archive at once, offline messages and preferences included; the space is
    /// given back in the background.
    async fn purge(&self, owner: &str) -> Result<(), StoreError>;

    /// Of one archive, or of all. Visits every message: for administrators.
    async fn stats(&self, owner: Option<&str>) -> Result<ArchiveStats, StoreError>;

    /// Does one piece of the background work (full-text index, purged archives) now; `false` when
    /// nothing is left to do. It happens by itself when the writer is idle.
    async fn maintain(&self) -> Result<bool, StoreError>;
}
