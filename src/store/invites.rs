//! Invitations to an account or to a contact (XEP-0379, XEP-0401, XEP-0445).

use async_trait::async_trait;

use crate::{Role, StoreError, Timestamp, words::words};

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteKind {
    /// To make an account.
    Account,
    /// To become a contact of the inviter.
    Contact,
}

words!(InviteKind {
    Account = "account",
    Contact = "contact",
});

/// One invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Unguessable.
    pub token: String,
    pub kind: InviteKind,
    /// Bare JID; none when an operator invites.
    pub inviter: Option<String>,
    /// Domain of the account to be made.
    pub domain: String,
    /// Localpart that is kept for whom is invited.
    pub username: Option<String>,
    /// Role of the account to be made.
    pub role: Role,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub uses_left: u32,
    /// Bare JIDs in the order they redeemed it.
    pub used_by: Vec<String>,
}

/// Answer of [`Invites::redeem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redemption {
    /// The invitation after this use.
    Redeemed(Invite),
    Unknown,
    Expired,
    /// No uses are left.
    Exhausted,
}

/// Invitations by token.
#[async_trait]
pub trait Invites: Send + Sync {
    /// `false` when the token exists already.
    async fn create(&self, invite: &Invite) -> Result<bool, StoreError>;

    async fn find(&self, token: &str) -> Result<Option<Invite>, StoreError>;

    /// Uses the invitation once, in one transaction. The same account may redeem it again without
    /// another use being counted, so that a broken registration can be tried again.
    async fn redeem(&self, token: &str, by: &str, now: Timestamp)
    -> Result<Redemption, StoreError>;

    /// Gives back the use of `by`, when what it was for failed. `false` when there was none.
    async fn release(&self, token: &str, by: &str) -> Result<bool, StoreError>;

    /// `false` when there was none.
    async fn revoke(&self, token: &str) -> Result<bool, StoreError>;

    /// Of one inviter, or all; newest first, `limit` of them.
    async fn list(&self, inviter: Option<&str>, limit: u32) -> Result<Vec<Invite>, StoreError>;

    /// Whether an unexpired invitation keeps this localpart.
    async fn reserved(
        &self,
        domain: &str,
        username: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes invitations that expired before `before`; how many.
    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError>;
}
