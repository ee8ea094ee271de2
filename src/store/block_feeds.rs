//! Block lists of others that are followed, as they were last known.

use async_trait::async_trait;

use crate::StoreError;

/// A node of a PubSub service whose items are what is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockFeed {
    /// Bare JID of the service.
    pub service: String,
    pub node: String,
}

/// Items by feed; each is the id of an item of its node.
#[async_trait]
pub trait BlockFeeds: Send + Sync {
    /// In no particular order.
    async fn items(&self, feed: &BlockFeed) -> Result<Vec<String>, StoreError>;

    /// Makes these the only items.
    async fn replace(&self, feed: &BlockFeed, items: &[String]) -> Result<(), StoreError>;

    /// Adds and removes some; those that are there already, or are not there, are passed over.
    async fn change(
        &self,
        feed: &BlockFeed,
        added: &[String],
        removed: &[String],
    ) -> Result<(), StoreError>;

    /// Forgets all feeds but these.
    async fn keep_only(&self, feeds: &[BlockFeed]) -> Result<(), StoreError>;
}
