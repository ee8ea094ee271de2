//! Where the devices of an account are woken (XEP-0357).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp};

/// What a device has enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushService {
    /// Bare JID.
    pub account: String,
    /// Of the app server.
    pub jid: String,
    /// Empty when the app server has none.
    pub node: String,
    /// Of the session that enabled it last.
    pub resource: String,
    /// The id of the client behind it (XEP-0388), if it has one.
    pub client: Option<String>,
    /// A data form to be published along, as XML.
    pub options: Option<Bytes>,
    pub enabled: Timestamp,
    /// Errors in a row.
    pub failures: u32,
    /// Nothing is published before.
    pub paused_until: Option<Timestamp>,
}

/// Push services of all accounts.
#[async_trait]
pub trait PushServices: Send + Sync {
    /// Adds one or replaces it. `false` when the account has `max` others.
    async fn enable(&self, service: &PushService, max: u32) -> Result<bool, StoreError>;

    /// Removes those of an app server, or the one of a node; how many.
    async fn disable(
        &self,
        account: &str,
        jid: &str,
        node: Option<&str>,
    ) -> Result<u64, StoreError>;

    async fn list(&self, account: &str) -> Result<Vec<PushService>, StoreError>;

    /// Notes how publishing went, if the service is still there.
    async fn set_failures(
        &self,
        service: &PushService,
        failures: u32,
        paused_until: Option<Timestamp>,
    ) -> Result<(), StoreError>;
}
