//! Accounts, their credentials and what remains of deleted ones.

use std::fmt;

use async_trait::async_trait;

use crate::{StoreError, Timestamp, words::words};

/// What an account may do beyond its own data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// An ordinary person.
    #[default]
    User,
    /// Answers calls of a queue.
    Agent,
    /// Watches over agents.
    Supervisor,
    /// Administers the server.
    Admin,
}

words!(Role {
    User = "user",
    Agent = "agent",
    Supervisor = "supervisor",
    Admin = "admin",
});

/// Whether an account may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AccountStatus {
    /// May log in.
    #[default]
    Active,
    /// Switched off, by its owner or an administrator; keeps its data.
    Inactive,
    /// Shut out by an administrator.
    Banned,
}

words!(AccountStatus {
    Active = "active",
    Inactive = "inactive",
    Banned = "banned",
});

/// Row number of an account; never used twice, so it tells apart two accounts that had the same
/// name one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// Counts the changes of an account's credentials. Whatever was derived from older credentials
/// (tokens, open sessions) compares it to find out that it is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialEpoch(pub i64);

/// One account, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// Localpart of its address.
    pub local: String,
    /// Domain of its address.
    pub domain: String,
    pub role: Role,
    pub status: AccountStatus,
    pub created: Timestamp,
    /// Last successful login, if any.
    pub last_login: Option<Timestamp>,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub credential_epoch: CredentialEpoch,
}

impl Account {
    /// Its bare JID.
    pub fn jid(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }
}

/// Keys of one SCRAM mechanism (RFC 5802 §3). Enough to check a login, not to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Hash family without `-PLUS`, for example `SCRAM-SHA-256`.
    pub mechanism: String,
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

// Keys never reach a log, so Debug leaves them out.
impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("mechanism", &self.mechanism)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// All that a password leaves behind.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// One per mechanism, in no particular order.
    pub scram: Vec<ScramKeys>,
    /// Argon2 hash in PHC string format, for logins that send the password itself.
    pub password_hash: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("scram", &self.scram)
            .field("password_hash", &self.password_hash.is_some())
            .finish()
    }
}

/// An account to be made.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Bare JID.
    pub jid: String,
    pub role: Role,
    pub status: AccountStatus,
    pub created: Timestamp,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub credentials: Credentials,
    /// Allow the name of a deleted account. Its former owner's contacts cannot tell the two
    /// apart, so this is for administrators only.
    pub reuse: bool,
    /// Names of accounts that were deleted before are free again.
    pub tombstones_since: Timestamp,
    /// The same for names that look the same.
    pub shape: Option<String>,
    /// Refuse a name that looks like another one.
    pub distinct: bool,
}

/// Answer of [`Accounts::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    Created(Account),
    /// An account of that name exists.
    Exists,
    /// An account of that name existed and was deleted.
    Tombstoned,
    /// There is an account whose name looks the same.
    LookAlike,
}

/// Which accounts to list or count.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Only this domain.
    pub domain: Option<String>,
    /// Only those whose localpart, display name or e-mail address contains this text
    /// (ASCII letters compare without case).
    pub search: Option<String>,
    pub role: Option<Role>,
    pub status: Option<AccountStatus>,
}

/// Accounts by their bare JID.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes an account with its credentials.
    async fn create(&self, account: &NewAccount) -> Result<Creation, StoreError>;

    async fn find(&self, jid: &str) -> Result<Option<Account>, StoreError>;

    /// Accounts with this e-mail address (ASCII letters compare without case), two of them at
    /// most: enough to know whether it names one.
    async fn find_by_email(&self, email: &str) -> Result<Vec<Account>, StoreError>;

    /// The account and its credentials, which are those of the account's epoch.
    async fn credentials(&self, jid: &str) -> Result<Option<(Credentials, Account)>, StoreError>;

    /// The account and its keys for one SCRAM mechanism, if it has such.
    async fn scram_keys(
        &self,
        jid: &str,
        mechanism: &str,
    ) -> Result<Option<(Option<ScramKeys>, Account)>, StoreError>;

    /// Domains with accounts that have SCRAM keys, but none for this mechanism.
    async fn domains_lacking(&self, mechanism: &str) -> Result<Vec<String>, StoreError>;

    /// Replaces all credentials and returns the new epoch; `None` without such an account.
    async fn set_credentials(
        &self,
        jid: &str,
        credentials: &Credentials,
    ) -> Result<Option<CredentialEpoch>, StoreError>;

    /// Deletes the account with everything it owns in every domain of the store, and leaves a
    /// tombstone on its name. Archived messages leave its archive at once; their space is
    /// given back in the background. `false` without such an account.
    async fn delete(&self, jid: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Up to `limit` accounts ordered by domain and localpart, beginning after the bare JID `after`.
    async fn list(
        &self,
        filter: &AccountFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    async fn count(&self, filter: &AccountFilter) -> Result<u64, StoreError>;

    /// `false` without such an account; so do the three that follow.
    async fn set_role(&self, jid: &str, role: Role) -> Result<bool, StoreError>;

    async fn set_status(&self, jid: &str, status: AccountStatus) -> Result<bool, StoreError>;

    async fn set_profile(
        &self,
        jid: &str,
        display_name: Option<&str>,
        email: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// Accounts whose name has no shape yet, up to `limit` bare JIDs.
    async fn shapeless(&self, limit: u32) -> Result<Vec<String>, StoreError>;

    /// Says what the name looks like; `false` without such an account.
    async fn set_shape(&self, jid: &str, shape: &str) -> Result<bool, StoreError>;

    async fn record_login(&self, jid: &str, now: Timestamp) -> Result<bool, StoreError>;
}
