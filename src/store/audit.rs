//! What was done by those who have power over others, and by the server against somebody.

use async_trait::async_trait;

use crate::{StoreError, Timestamp};

/// Row number of an entry, ascending in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(pub i64);

/// One deed. Passwords, tokens and messages are never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub time: Timestamp,
    /// Who did it: a bare JID, `operator` or `server`.
    pub actor: String,
    /// From where: an IP address, `command line`; empty for the server itself.
    pub origin: String,
    pub action: String,
    /// Whom or what it was done to; empty if nobody.
    pub target: String,
    pub outcome: String,
}

/// The log: it grows, and what is too old leaves it. Nothing in it is changed.
#[async_trait]
pub trait AuditLog: Send + Sync {
    async fn append(&self, entry: &AuditEntry) -> Result<AuditId, StoreError>;

    /// Newest first, not older than `since`, beginning below `before`.
    async fn list(
        &self,
        since: Timestamp,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<(AuditId, AuditEntry)>, StoreError>;

    /// Removes what is older; returns how many.
    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError>;
}
