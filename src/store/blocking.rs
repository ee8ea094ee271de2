//! Block lists (XEP-0191).

use async_trait::async_trait;

use crate::StoreError;

/// Block lists by account (bare JID). Blocked JIDs may be full, bare or a domain.
#[async_trait]
pub trait BlockLists: Send + Sync {
    /// Ordered by JID.
    async fn list(&self, account: &str) -> Result<Vec<String>, StoreError>;

    /// How many of them were not blocked before.
    async fn add(&self, account: &str, jids: &[String]) -> Result<u64, StoreError>;

    /// How many of them were blocked.
    async fn remove(&self, account: &str, jids: &[String]) -> Result<u64, StoreError>;

    /// Unblocks all; how many there were.
    async fn clear(&self, account: &str) -> Result<u64, StoreError>;
}
