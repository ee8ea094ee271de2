//! Stream management sessions that outlive a clean restart (XEP-0198 §5).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp};

/// A session that waits to be resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HibernatedSession {
    /// `previd` by which the client will ask for it.
    pub resumption_id: String,
    /// Bare JID.
    pub account: String,
    /// Its state; the store does not look inside.
    pub state: Bytes,
    pub expires: Timestamp,
}

/// Hibernated sessions of this server.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores them all, or none.
    async fn save_all(&self, sessions: &[HibernatedSession]) -> Result<(), StoreError>;

    /// Takes all sessions out of the store and returns those that have not expired.
    async fn take_all(&self, now: Timestamp) -> Result<Vec<HibernatedSession>, StoreError>;
}
