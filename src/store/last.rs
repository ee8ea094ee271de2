//! When an account was last online (XEP-0012).

use async_trait::async_trait;

use crate::{StoreError, Timestamp};

/// The last unavailable presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastActivity {
    pub at: Timestamp,
    /// Its status text.
    pub status: Option<String>,
}

/// Last activity by account (bare JID).
#[async_trait]
pub trait LastActivities: Send + Sync {
    async fn get(&self, account: &str) -> Result<Option<LastActivity>, StoreError>;

    async fn set(&self, account: &str, last: &LastActivity) -> Result<(), StoreError>;
}
