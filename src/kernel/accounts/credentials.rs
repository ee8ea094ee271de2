//! What proves that a client is its account: looking it up, checking it, replacing it.

use std::net::IpAddr;

use wello_store::{Account, CredentialEpoch, Credentials, StoreError};
use wello_stream::sasl::{ScramHash, ScramKeys};
use wello_wire::jid::BareJid;

use super::passwords::{keys_of, row_of};
use super::{AccountError, Accounts, LoginError, permitted};

impl Accounts {
    /// The keys for a SCRAM login, with their account; `None` for unknown accounts and unknown
    /// hashes alike.
    pub async fn scram_keys(
        &self,
        jid: &BareJid,
        hash: ScramHash,
    ) -> Result<Option<(ScramKeys, Account)>, StoreError> {
        let mechanism = hash.mechanism_name();
        let found = self.store.accounts.scram_keys(jid.as_str(), mechanism).await?;
        let Some((Some(row), account)) = found else { return Ok(None) };
        Ok(keys_of(&row, hash).map(|keys| (keys, account)))
    }

    /// Domains where some account cannot log in by SCRAM with this hash, because it was imported
    /// with keys for others. Clients choose the strongest mechanism that they see, so it is not
    /// to be offered there.
    pub async fn domains_lacking(&self, hash: ScramHash) -> Result<Vec<String>, StoreError> {
        self.store.accounts.domains_lacking(hash.mechanism_name()).await
    }

    /// Checks a password that came in clear. Takes as long for unknown accounts. Returns the
    /// account, which may log in.
    ///
    /// # Errors
    /// Counts a [`LoginError::Refused`] as a failure.
    pub async fn check_password(
        &self,
        jid: &BareJid,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<Account, LoginError> {
        let now = self.clock.now();
        if !self.throttle.allows(jid.as_str(), from, now) {
            return Err(LoginError::Throttled);
        }
        let found = self.store.accounts.credentials(jid.as_str()).await;
        let (credentials, account) = found.map_err(|_| LoginError::Unavailable)?.unzip();
        let imported = credentials.as_ref().is_some_and(|known| known.password_hash.is_none());
        let matches = self.passwords.verify(credentials, password).await;
        let Some(account) = account.filter(|_| matches) else {
            self.throttle.record_failure(Some(jid.as_str()), from, now);
            return Err(LoginError::Refused);
        };
        let mut account = permitted(account)?;
        if imported
            && let Some(epoch) =
                self.complete_credentials(jid, password, account.credential_epoch).await
        {
            account.credential_epoch = epoch;
        }
        Ok(account)
    }

    /// Refuses a login by a name that nobody can have, as late as any other.
    pub(super) async fn refuse_stranger(&self, password: &str, from: Option<IpAddr>) -> LoginError {
        let now = self.clock.now();
        if !self.throttle.allows("", from, now) {
            return LoginError::Throttled;
        }
        self.passwords.verify(None, password).await;
        self.throttle.record_failure(None, from, now);
        LoginError::Refused
    }

    /// An account that was imported with keys of some mechanisms only has shown its password.
    async fn complete_credentials(
        &self,
        jid: &BareJid,
        password: &str,
        epoch: CredentialEpoch,
    ) -> Option<CredentialEpoch> {
        let credentials = self.passwords.derive(password).await.ok()?;
        self.replace_credentials(jid, epoch, |_| credentials).await.ok()?
    }

    /// Of the offered hashes, those that the account has no keys for (XEP-0480).
    pub async fn missing_keys(
        &self,
        jid: &BareJid,
        offered: &[ScramHash],
    ) -> Result<Vec<ScramHash>, StoreError> {
        if offered.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.store.accounts.credentials(jid.as_str()).await?;
        let known = found.map(|(credentials, _)| credentials.scram).unwrap_or_default();
        let lacks = |hash: &&ScramHash| known.iter().all(|row| keys_of(row, **hash).is_none());
        Ok(offered.iter().filter(lacks).copied().collect())
    }

    /// Adds keys that a client computed from the password of `epoch`. Returns the new epoch;
    /// `None` when the password has changed since.
    pub async fn add_keys(
        &self,
        jid: &BareJid,
        keys: &ScramKeys,
        epoch: CredentialEpoch,
    ) -> Result<Option<CredentialEpoch>, StoreError> {
        let row = row_of(keys);
        self.replace_credentials(jid, epoch, |mut credentials| {
            credentials.scram.retain(|known| known.mechanism != row.mechanism);
            credentials.scram.push(row);
            credentials
        })
        .await
    }

    /// Replaces the password, and revokes every token that came from the old one. Sessions are
    /// the caller's to end: see [`Kernel::set_password`](crate::Kernel::set_password).
    /// `keep` is the client that changes the password; it is remembered, without its token.
    pub async fn set_password(
        &self,
        jid: &BareJid,
        password: &str,
        keep: Option<&str>,
    ) -> Result<(), AccountError> {
        let credentials = self.passwords.derive(password).await?;
        let changing = self.changes.acquire().await;
        let set = self.store.accounts.set_credentials(jid.as_str(), &credentials).await?;
        drop(changing);
        if set.is_none() {
            return Err(AccountError::NotFound(jid.clone()));
        }
        // Afterwards: who logs in by the old password until here gets no token that outlives it.
        self.store.clients.revoke_others(jid.as_str(), keep).await?;
        if let Some(keep) = keep {
            self.store.clients.drop_fast(jid.as_str(), keep).await?;
        }
        self.store.refresh_tokens.revoke_account(jid.as_str()).await?;
        Ok(())
    }

    /// Changes credentials unless their epoch is another one by now.
    async fn replace_credentials(
        &self,
        jid: &BareJid,
        epoch: CredentialEpoch,
        change: impl FnOnce(Credentials) -> Credentials,
    ) -> Result<Option<CredentialEpoch>, StoreError> {
        // One at a time, so that nothing comes between reading and writing.
        let _changing = self.changes.acquire().await;
        let found = self.store.accounts.credentials(jid.as_str()).await?;
        match found.filter(|(_, account)| account.credential_epoch == epoch) {
            Some((credentials, _)) => {
                let credentials = change(credentials);
                self.store.accounts.set_credentials(jid.as_str(), &credentials).await
            }
            None => Ok(None),
        }
    }
}
