//! What the app server inside wakes: devices by the services of their makers, and apps on devices
//! that are reached by an XMPP client (UnifiedPush).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp, TokenHash};

/// Whose service brings it to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushGateway {
    Fcm,
    Apns,
    Web,
}

impl PushGateway {
    pub(crate) fn number(self) -> i64 {
        match self {
            PushGateway::Fcm => 0,
            PushGateway::Apns => 1,
            PushGateway::Web => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<PushGateway> {
        [PushGateway::Fcm, PushGateway::Apns, PushGateway::Web]
            .into_iter()
            .find(|gateway| gateway.number() == number)
    }
}

/// A device that the app server inside can wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushDevice {
    /// What servers publish to.
    pub node: String,
    /// Of the secret that lets them.
    pub secret: TokenHash,
    /// Bare JID.
    pub account: String,
    /// The client's own name for it.
    pub device: String,
    pub gateway: PushGateway,
    /// The token, or the URL of Web Push.
    pub address: String,
    /// APNs: the token for calls.
    pub call_address: Option<String>,
    /// Web Push (RFC 8291): the public key of the browser, uncompressed.
    pub public_key: Option<Bytes>,
    /// Web Push: the secret that the browser shares with us.
    pub auth: Option<Bytes>,
    pub registered: Timestamp,
}

/// An address by which the server of an app reaches that app on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEndpoint {
    /// Whoever knows it may push.
    pub token: String,
    /// Bare JID.
    pub account: String,
    /// Of the session that brings it to the app.
    pub resource: String,
    pub application: String,
    pub instance: String,
    pub expires: Timestamp,
}

#[async_trait]
pub trait PushDevices: Send + Sync {
    /// Adds a device, or replaces the account's device of the same name, which keeps its node.
    /// Returns the node; `None` when the account has `max` others.
    async fn register(&self, device: &PushDevice, max: u32) -> Result<Option<String>, StoreError>;

    async fn device(&self, node: &str) -> Result<Option<PushDevice>, StoreError>;

    /// Those of an account, the oldest first.
    async fn devices(&self, account: &str) -> Result<Vec<PushDevice>, StoreError>;

    /// Removes the device behind a node, unless it was registered anew since.
    async fn unregister(&self, device: &PushDevice) -> Result<bool, StoreError>;

    /// Adds an endpoint, or prolongs the one of the same app, which keeps its token. Returns the
    /// token; `None` when the account has `max` others that have not expired at `now`.
    async fn add_endpoint(
        &self,
        endpoint: &PushEndpoint,
        max: u32,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError>;

    async fn endpoint(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<PushEndpoint>, StoreError>;

    async fn remove_endpoint(&self, token: &str) -> Result<bool, StoreError>;

    /// Removes endpoints that expired before; how many.
    async fn expire_endpoints(&self, before: Timestamp) -> Result<u64, StoreError>;
}
