//! Refresh tokens of the REST interface, rotated at every use with detection of reuse (RFC 9700 §4.14.2).

use async_trait::async_trait;

use crate::{StoreError, Timestamp};

/// SHA-256 of a token; the token itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// One token of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub hash: TokenHash,
    /// Shared by all tokens that come from one login.
    pub family: String,
    /// Bare JID.
    pub account: String,
    /// The client (of [`Clients`](crate::Clients)) it was given to.
    pub client: Option<String>,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// Answer of [`RefreshTokens::rotate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The old token is used up; this is the new one.
    Rotated(RefreshToken),
    /// The old token had been used before. Somebody stole it: its family is gone now.
    Reused {
        account: String,
        family: String,
    },
    Expired,
    Unknown,
}

/// Refresh tokens by their hash.
#[async_trait]
pub trait RefreshTokens: Send + Sync {
    /// Stores the first token of a family.
    async fn issue(&self, token: &RefreshToken) -> Result<(), StoreError>;

    /// Exchanges `old` for `new`, which expires at `expires`, in one transaction.
    async fn rotate(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Removes a family; how many tokens it had.
    async fn revoke_family(&self, family: &str) -> Result<u64, StoreError>;

    /// Removes all tokens of an account; how many.
    async fn revoke_account(&self, account: &str) -> Result<u64, StoreError>;

    /// Removes tokens that expired before `before`; how many.
    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError>;
}
