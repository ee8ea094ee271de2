//! Messages that wait for their recipient's next login (XEP-0160). They come in through
//! [`Archive::append`](crate::Archive::append) and share the stored message with the archives.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ArchiveId, StoreError, Timestamp};

/// Names an offline message; ascending in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfflineId(pub i64);

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineMessage {
    pub id: OfflineId,
    pub stanza: Bytes,
    pub time: Timestamp,
    pub from: String,
    pub to: String,
    /// Its id in the account's archive, when it was put in there.
    pub archive_id: Option<ArchiveId>,
}

/// What waits for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfflineUsage {
    pub messages: u64,
    /// Of their stanzas.
    pub bytes: u64,
}

/// Offline messages by account (bare JID). Readers see everything appended before.
#[async_trait]
pub trait Offline: Send + Sync {
    async fn usage(&self, account: &str) -> Result<OfflineUsage, StoreError>;

    /// Up to `max` messages after `after`, oldest first.
    async fn page(
        &self,
        account: &str,
        after: Option<OfflineId>,
        max: u32,
    ) -> Result<Vec<OfflineMessage>, StoreError>;

    /// Removes these; how many there were.
    async fn remove(&self, account: &str, ids: &[OfflineId]) -> Result<u64, StoreError>;

    /// Removes up to `limit` messages older than `before`. Call it until it returns less.
    async fn expire(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
