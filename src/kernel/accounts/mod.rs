//! One account service for every door: streams, REST and commands.

mod argon;
mod changes;
mod clients;
mod credentials;
mod fast;
mod guests;
mod invites;
mod passwords;
mod registration;
mod throttle;
mod tokens;
mod windows;

use std::collections::HashSet;
use std::time::Duration;

use parking_lot::RwLock;
use thiserror::Error;
use tokio::sync::Semaphore;
use wello_store::{Account, AccountStatus, Creation, NewAccount, Role, Store, StoreError};
use wello_stream::sasl::{FakeKeys, Mechanism};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::datetime::Timestamp;

use crate::clock::{Clock, random_bytes};
use crate::config::{self, Config};
use crate::lookalike::account_shape;

pub use fast::FastLogin;
pub use guests::{Guest, GuestError, GuestGrant, Guests};
pub use invites::{AccountInvite, InviteError};
pub use passwords::{PasswordPolicyError, Passwords};
pub use registration::{Registration, RegistrationError};
pub use throttle::{Quota, Throttle};
use tokens::Signer;
pub use tokens::{ACCESS_SECONDS, Access, Granted, REFRESH_DAYS, TokenError, Visitor, role_name};
pub use windows::{Windows, keep_heaviest};

/// Accounts, their credentials and who may try to log in.
pub struct Accounts {
    store: Store,
    clock: Clock,
    /// Who is here without an account.
    pub guests: Guests,
    passwords: Passwords,
    throttle: Throttle,
    registrations: Quota,
    registration: config::Registration,
    signer: Signer,
    /// Lifetime of FAST tokens; 0 for no such tokens.
    token_micros: i64,
    invite_micros: i64,
    /// How long the name of a deleted account is kept; 0 for ever.
    tombstone_micros: i64,
    /// Of whoever logs in by a name without a domain.
    first_host: String,
    /// Held while credentials are read and written back.
    changes: Semaphore,
    mechanisms: Vec<Mechanism>,
    fakes: FakeKeys,
    /// Accounts that were seen to exist, so that routing asks the store only once.
    known: RwLock<HashSet<Box<str>>>,
}

/// Logins closer together than this are one for the account's last login.
const LOGIN_GRAIN: Duration = Duration::from_secs(60);

const MICROS_PER_DAY: i64 = 24 * 3600 * 1_000_000;

/// Addresses remembered as existing before all are forgotten.
const MAX_KNOWN: usize = 100_000;

/// Why an account could not be made or changed.
#[derive(Debug, Error)]
pub enum AccountError {
    #[error("{0} is not a valid account address: {1}")]
    Address(String, String),
    #[error("{0} exists already")]
    Exists(BareJid),
    #[error("there was an account {0} before; its name is not given away again yet")]
    Tombstoned(BareJid),
    #[error("{0} looks like another account")]
    LookAlike(BareJid),
    #[error("there is no account {0}")]
    NotFound(BareJid),
    #[error("password: {0}")]
    Password(#[from] PasswordPolicyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password login failed; the peer is told the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    #[error("unknown account or wrong password")]
    Refused,
    #[error("account is switched off")]
    Disabled,
    /// The peer had a good token for too long.
    #[error("token has expired")]
    Expired,
    #[error("too many failures, try again later")]
    Throttled,
    #[error("the account store does not answer")]
    Unavailable,
}

impl Accounts {
    pub async fn open(
        config: &Config,
        store: &Store,
        clock: Clock,
    ) -> Result<Accounts, StoreError> {
        let named = |name: &String| name.parse::<Mechanism>().ok();
        Ok(Accounts {
            guests: Guests::new(config),
            fakes: FakeKeys::new(
                secret(store, "scram-fake-secret").await?,
                config.auth.scram_iterations,
            ),
            signer: Signer::new(&secret(store, "token-secret").await?),
            registrations: Quota::hourly(
                config.auth.registrations_per_hour,
                config.auth.registrations_per_block,
            ),
            registration: config.auth.registration,
            token_micros: i64::from(config.auth.token_days) * MICROS_PER_DAY,
            invite_micros: i64::from(config.auth.invite_days) * MICROS_PER_DAY,
            tombstone_micros: i64::from(config.auth.tombstone_days) * MICROS_PER_DAY,
            first_host: config.domains().first().copied().unwrap_or_default().to_owned(),
            mechanisms: config.auth.mechanisms.iter().filter_map(named).collect(),
            passwords: Passwords::new(config.auth.scram_iterations),
            throttle: Throttle::new(&config.auth),
            changes: Semaphore::new(1),
            store: store.clone(),
            clock,
            known: RwLock::default(),
        })
    }

    /// SCRAM keys for names that are nobody's.
    pub fn fakes(&self) -> &FakeKeys {
        &self.fakes
    }

    /// The mechanisms that the operator allows, without their `-PLUS` variants.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// Argon2id of a password that belongs to no account, such as a room's. `None` when it cannot
    /// be used or resources are missing.
    pub async fn hash_password(&self, password: &str) -> Option<String> {
        self.passwords.hash(password).await
    }

    /// Whether the password is the one of [`Accounts::hash_password`].
    pub async fn matches_hash(&self, hash: &str, password: &str) -> bool {
        self.passwords.matches(hash, password).await
    }

    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Whether there is such an account, or guest; a store that does not answer counts as no.
    pub async fn exists(&self, jid: &BareJid) -> bool {
        if self.guests.serves(jid.domain()) {
            return self.guests.find(jid.as_str()).is_some();
        }
        if self.known.read().contains(jid.as_str()) {
            return true;
        }
        let found = matches!(self.store.accounts.find(jid.as_str()).await, Ok(Some(_)));
        if found {
            let mut known = self.known.write();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(jid.as_str().into());
        }
        found
    }

    /// The account, if its owner may log in.
    pub async fn may_log_in(&self, jid: &BareJid) -> Result<Account, LoginError> {
        match self.store.accounts.find(jid.as_str()).await {
            Ok(Some(account)) => permitted(account),
            Ok(None) => Err(LoginError::Refused),
            Err(_) => Err(LoginError::Unavailable),
        }
    }

    /// Makes an account with a password.
    pub async fn create(
        &self,
        jid: &BareJid,
        password: &str,
        role: Role,
    ) -> Result<Account, AccountError> {
        let account = NewAccount { jid: jid.to_string(), role, ..NewAccount::default() };
        self.insert(jid, password, account).await
    }

    /// The same, also with the name of a deleted account: somebody has made sure that it is the same
    /// person.
    pub async fn create_again(
        &self,
        jid: &BareJid,
        password: &str,
        role: Role,
    ) -> Result<Account, AccountError> {
        let account =
            NewAccount { jid: jid.to_string(), role, reuse: true, ..NewAccount::default() };
        self.insert(jid, password, account).await
    }

    /// Works out what the names look like of accounts that were made before that was asked for.
    pub async fn find_shapes(&self) -> Result<(), StoreError> {
        const PAGE: u32 = 500;
        loop {
            let page = self.store.accounts.shapeless(PAGE).await?;
            for jid in &page {
                let local = jid.split('@').next().unwrap_or_default();
                self.store.accounts.set_shape(jid, &account_shape(local)).await?;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    async fn insert(
        &self,
        jid: &BareJid,
        password: &str,
        account: NewAccount,
    ) -> Result<Account, AccountError> {
        if self.guests.serves(jid.domain()) {
            let reason = "its domain is that of guests".to_owned();
            return Err(AccountError::Address(jid.to_string(), reason));
        }
        let credentials = self.passwords.derive(password).await?;
        let now = self.clock.now();
        let account = NewAccount {
            created: now,
            credentials,
            tombstones_since: self.tombstones_since(now),
            shape: jid.local().map(account_shape),
            ..account
        };
        match self.store.accounts.create(&account).await? {
            Creation::Created(account) => Ok(account),
            Creation::Exists => Err(AccountError::Exists(jid.clone())),
            Creation::Tombstoned => Err(AccountError::Tombstoned(jid.clone())),
            Creation::LookAlike => Err(AccountError::LookAlike(jid.clone())),
        }
    }

    /// Names of accounts that were deleted earlier are free again.
    fn tombstones_since(&self, now: Timestamp) -> Timestamp {
        match self.tombstone_micros {
            0 => Timestamp::default(),
            micros => now.plus_micros(-micros),
        }
    }

    /// Deletes the account and everything it owns.
    pub async fn delete(&self, jid: &BareJid) -> Result<(), AccountError> {
        let deleted = self.store.accounts.delete(jid.as_str(), self.clock.now()).await?;
        self.known.write().remove(jid.as_str());
        if deleted { Ok(()) } else { Err(AccountError::NotFound(jid.clone())) }
    }

    /// Notes the time, unless `before` is close to it: a device on a bad line, or a crowd that
    /// comes back after a restart, is not to keep the disk busy.
    pub async fn record_login(&self, jid: &BareJid, before: Option<Timestamp>) {
        self.throttle.record_success(jid.as_str());
        let now = self.clock.now();
        if before.is_some_and(|before| now.since(before) < LOGIN_GRAIN) {
            return;
        }
        if let Err(error) = self.store.accounts.record_login(jid.as_str(), now).await {
            tracing::warn!(%jid, %error, "last login not recorded");
        }
    }
}

/// The account, if its owner may log in.
pub fn permitted(account: Account) -> Result<Account, LoginError> {
    match account.status {
        AccountStatus::Active => Ok(account),
        _ => Err(LoginError::Disabled),
    }
}

/// A secret of the server, made at the first start and the same ever after.
async fn secret(store: &Store, name: &str) -> Result<[u8; 32], StoreError> {
    let fresh = random_bytes::<32>().to_vec().into();
    let secret = store.meta.get_or_insert(name, &fresh).await?;
    <[u8; 32]>::try_from(&secret[..]).map_err(|_| StoreError::Corrupt(name.to_owned()))
}

/// Parses an address for an account that is to be made: strict, and with a localpart.
pub fn account_address(text: &str) -> Result<BareJid, AccountError> {
    let error = |reason: String| AccountError::Address(text.to_owned(), reason);
    let jid = Jid::parse_strict(text).map_err(|reason| error(reason.to_string()))?;
    let jid = BareJid::try_from(jid).map_err(|reason| error(reason.to_string()))?;
    match jid.local() {
        Some(_) => Ok(jid),
        None => Err(error("it has no name before an @".into())),
    }
}
