//! The clients of an account and their FAST tokens (XEP-0484, XEP-0494).

use std::fmt;

use async_trait::async_trait;

use crate::{StoreError, Timestamp, words::words};

/// How a client reaches the account (XEP-0494 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientKind {
    /// Identifies itself by a user-agent id and opens sessions.
    #[default]
    Session,
    /// Holds a grant only, such as a REST token.
    Access,
}

words!(ClientKind {
    Session = "session",
    Access = "access",
});

/// What a client may do with the account (XEP-0494 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientPermission {
    /// May not change credentials nor revoke other clients.
    Normal,
    #[default]
    Unrestricted,
}

words!(ClientPermission {
    Normal = "normal",
    Unrestricted = "unrestricted",
});

/// One client of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Unique within the account: the user-agent id (XEP-0388 §2.3.1), or one made by the server.
    pub id: String,
    pub kind: ClientKind,
    pub permission: ClientPermission,
    /// `<software/>` of its user agent.
    pub software: Option<String>,
    /// `<device/>` of its user agent.
    pub device: Option<String>,
    /// Resource tag it asked for (XEP-0386).
    pub tag: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// A FAST secret.
#[derive(Clone, PartialEq, Eq)]
pub struct FastToken {
    pub secret: Vec<u8>,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

impl fmt::Debug for FastToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastToken")
            .field("issued", &self.issued)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The secrets by which a client may authenticate now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastTokens {
    /// SASL mechanism both are bound to, for example `HT-SHA-256-EXPR`.
    pub mechanism: String,
    pub current: FastToken,
    /// The one before a rotation, good until the client shows that it has the current one.
    pub previous: Option<FastToken>,
    /// Highest `count` seen (XEP-0484 §3.4, against replay).
    pub count: u64,
}

/// Clients by account (bare JID) and client id.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Records a client that logged in: stores it when new, otherwise renews everything but
    /// `first_seen` and `permission`.
    async fn seen(&self, account: &str, client: &Client) -> Result<(), StoreError>;

    /// All clients of the account, last seen first.
    async fn list(&self, account: &str) -> Result<Vec<Client>, StoreError>;

    async fn find(&self, account: &str, id: &str) -> Result<Option<Client>, StoreError>;

    /// `false` without such a client.
    async fn set_permission(
        &self,
        account: &str,
        id: &str,
        permission: ClientPermission,
    ) -> Result<bool, StoreError>;

    /// Removes the client, its FAST tokens and its refresh tokens. `false` without such a client.
    async fn revoke(&self, account: &str, id: &str) -> Result<bool, StoreError>;

    /// Removes all clients of the account except `keep`, as [`Clients::revoke`] does; how many.
    async fn revoke_others(&self, account: &str, keep: Option<&str>) -> Result<u64, StoreError>;

    async fn fast(&self, account: &str, id: &str) -> Result<Option<FastTokens>, StoreError>;

    /// Makes `token` the current one. The former current one becomes the previous one when it
    /// was for the same mechanism. `false` without such a client.
    async fn rotate_fast(
        &self,
        account: &str,
        id: &str,
        mechanism: &str,
        token: &FastToken,
    ) -> Result<bool, StoreError>;

    /// Drops the previous token, once the client used the current one, with which its counter
    /// begins anew. Nothing happens when there is no previous token.
    async fn settle_fast(&self, account: &str, id: &str) -> Result<(), StoreError>;

    /// Moves the counter up. `false` when `count` is not above what was seen: a replay.
    async fn advance_fast(&self, account: &str, id: &str, count: u64) -> Result<bool, StoreError>;

    /// Forgets both tokens; `false` when there was none.
    async fn drop_fast(&self, account: &str, id: &str) -> Result<bool, StoreError>;
}
