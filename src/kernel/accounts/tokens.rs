//! Grants for programs that speak HTTP: a short-lived access token that proves itself (RFC 7519),
//! and a refresh token that is known here only by its hash and good for one use (RFC 9700, section
//! 4.14.2). The client of a grant stands among the account's clients, where it can be revoked.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wello_store::{
    Account, AccountStatus, Client, ClientKind, ClientPermission, RefreshToken, Role, Rotation,
    StoreError, Timestamp, TokenHash,
};
use wello_wire::jid::BareJid;

use super::clients::shorten;
use super::{Accounts, LoginError, MICROS_PER_DAY};
use crate::clock::{random_bytes, random_id};

/// How long an access token holds.
pub const ACCESS_SECONDS: i64 = 24 * 3600;
/// How long a refresh token holds.
pub const REFRESH_DAYS: i64 = 7;
/// Longer texts are nobody's token.
const MAX_TOKEN: usize = 4096;

/// Who asks for a grant.
#[derive(Clone, Debug, Default)]
pub struct Visitor<'a> {
    pub address: Option<IpAddr>,
    /// What the program calls itself, such as its `User-Agent`.
    pub software: Option<&'a str>,
    pub device: Option<&'a str>,
}

/// What a program gets for a password or a refresh token.
#[derive(Clone, Debug)]
pub struct Granted {
    pub account: Account,
    pub access: String,
    /// `None` when an access token was extended.
    pub refresh: Option<String>,
    /// Seconds for which `access` holds.
    pub expires_in: i64,
}

/// Whom an access token stands for.
#[derive(Clone, Debug)]
pub struct Access {
    pub account: Account,
    /// The client that it was given to.
    pub client: String,
}

/// Why a token is refused; the peer is told no more than that it is.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    #[error("not a token of this server")]
    Invalid,
    #[error("token has expired")]
    Expired,
    #[error("token was revoked")]
    Revoked,
    #[error("account is switched off")]
    Disabled,
    #[error("the account store does not answer")]
    Unavailable,
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> TokenError {
        tracing::error!(%error, "tokens not read");
        TokenError::Unavailable
    }
}

/// The content of an access token.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    /// The account's bare JID.
    sub: String,
    #[serde(rename = "userId")]
    user_id: String,
    email: Option<String>,
    role: String,
    iat: i64,
    exp: i64,
    jti: String,
    client: String,
    /// The credentials that the grant was given for.
    epoch: i64,
}

/// Signs and verifies access tokens.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub(super) fn new(secret: &[u8]) -> Signer {
        // The algorithm is not the token's to choose (RFC 8725, section 3.1).
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is compared with our own clock.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Signer {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding);
        signed.map_err(|error| {
            tracing::error!(%error, "token not signed");
            TokenError::Unavailable
        })
    }

    /// What a token says that was signed here, however old it is.
    pub(super) fn read<T: DeserializeOwned>(&self, token: &str) -> Result<T, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Invalid);
        }
        let decoded = jsonwebtoken::decode::<T>(token, &self.decoding, &self.validation);
        decoded.map(|decoded| decoded.claims).map_err(|_| TokenError::Invalid)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let claims: Claims = self.read(token)?;
        if Timestamp::from_secs(claims.exp) <= now {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }
}

impl Accounts {
    /// A grant for a password. `name` is a JID, an e-mail address, or the name before the `@` on
    /// the first host.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        visitor: &Visitor<'_>,
    ) -> Result<Granted, LoginError> {
        let jid = self.find_by_name(name).await.map_err(|_| LoginError::Unavailable)?;
        let Some(jid) = jid else {
            return Err(self.refuse_stranger(password, visitor.address).await);
        };
        self.check_password(&jid, password, visitor.address).await?;
        let account = self.store.accounts.find(jid.as_str()).await;
        let account = account.map_err(|_| LoginError::Unavailable)?.ok_or(LoginError::Refused)?;
        self.record_login(&jid, account.last_login).await;
        let granted = self.grant(account, &jid, visitor).await;
        granted.map_err(|_| LoginError::Unavailable)
    }

    /// Whom a login means: usually also if there is no such account, which is refused as late as
    /// a wrong password.
    async fn find_by_name(&self, name: &str) -> Result<Option<BareJid>, StoreError> {
        let name = name.trim();
        let parsed = match name.contains('@') {
            true => name.parse::<BareJid>(),
            false => BareJid::from_parts(Some(name), &self.first_host),
        };
        let by_email = self.store.accounts.find_by_email(name).await?;
        if let Ok(jid) = &parsed
            && jid.local().is_some()
            && self.store.accounts.find(jid.as_str()).await?.is_some()
        {
            return Ok(parsed.ok());
        }
        match &by_email[..] {
            [only] => Ok(only.jid().parse().ok()),
            // An address that two accounts claim is nobody's.
            _ => Ok(parsed.ok().filter(|jid| jid.local().is_some())),
        }
    }

    async fn grant(
        &self,
        account: Account,
        jid: &BareJid,
        visitor: &Visitor<'_>,
    ) -> Result<Granted, TokenError> {
        let now = self.clock.now();
        self.forget_unused_grants(jid, now).await?;
        let client = random_id();
        let row = Client {
            id: client.clone(),
            kind: ClientKind::Access,
            permission: ClientPermission::Normal,
            software: visitor.software.map(shorten),
            device: visitor.device.map(shorten),
            tag: None,
            first_seen: now,
            last_seen: now,
        };
        self.remember(jid, &row).await?;
        let (refresh, hash) = fresh_token();
        let token = RefreshToken {
            hash,
            // One grant, one chain: when the chain is broken, the client is known.
            family: client.clone(),
            account: jid.to_string(),
            client: Some(client.clone()),
            issued: now,
            expires: refresh_expiry(now),
        };
        self.store.refresh_tokens.issue(&token).await?;
        self.granted(account, client, Some(refresh), now)
    }

    /// A new access token for a refresh token, which is used up by that, or for an access token
    /// that still holds.
    pub async fn refresh(&self, token: &str) -> Result<Granted, TokenError> {
        let now = self.clock.now();
        let (account, client, refresh) = if is_access_token(token) {
            let Access { account, client } = self.verify_access(token).await?;
            (account, client, None)
        } else {
            let (refresh, hash) = fresh_token();
            let used = self.rotate(token, &hash, now).await?;
            let account = self.active_account(&used.account).await?;
            (account, used.client.unwrap_or(used.family), Some(refresh))
        };
        let (jid, clients) = (account.jid(), &self.store.clients);
        let known = clients.find(&jid, &client).await?;
        let known = Client { last_seen: now, ..known.ok_or(TokenError::Revoked)? };
        clients.seen(&jid, &known).await?;
        self.granted(account, client, refresh, now)
    }

    /// Ends a grant, by either of its tokens.
    pub async fn log_out(&self, token: &str) -> Result<(), TokenError> {
        let (jid, client) = if is_access_token(token) {
            let access = self.verify_access(token).await?;
            (access.account.jid(), access.client)
        } else {
            let used = self.rotate(token, &fresh_token().1, self.clock.now()).await?;
            (used.account, used.client.unwrap_or(used.family))
        };
        self.store.clients.revoke(&jid, &client).await?;
        Ok(())
    }

    /// Whom an access token stands for, unless the account, its credentials or the client are
    /// not what they were.
    pub async fn verify_access(&self, token: &str) -> Result<Access, TokenError> {
        let claims = self.signer.verify(token, self.clock.now())?;
        let account = self.active_account(&claims.sub).await?;
        let same = account.id.0.to_string() == claims.user_id
            && account.credential_epoch.0 == claims.epoch;
        let client = self.store.clients.find(&claims.sub, &claims.client).await;
        match client? {
            Some(_) if same => Ok(Access { account, client: claims.client }),
            _ => Err(TokenError::Revoked),
        }
    }

    async fn rotate(
        &self,
        token: &str,
        new: &TokenHash,
        now: Timestamp,
    ) -> Result<RefreshToken, TokenError> {
        let tokens = &self.store.refresh_tokens;
        let rotation = tokens.rotate(&hash(token), new, now, refresh_expiry(now)).await;
        match rotation? {
            Rotation::Rotated(token) => Ok(token),
            Rotation::Reused { account, family } => {
                tracing::warn!(account, "a refresh token was used twice, its grant ends");
                self.store.clients.revoke(&account, &family).await?;
                Err(TokenError::Revoked)
            }
            Rotation::Expired => Err(TokenError::Expired),
            Rotation::Unknown => Err(TokenError::Invalid),
        }
    }

    async fn active_account(&self, jid: &str) -> Result<Account, TokenError> {
        match self.store.accounts.find(jid).await? {
            Some(account) if account.status == AccountStatus::Active => Ok(account),
            Some(_) => Err(TokenError::Disabled),
            None => Err(TokenError::Revoked),
        }
    }

    /// Grants whose last refresh token has expired are only a burden on the owner's list.
    async fn forget_unused_grants(&self, jid: &BareJid, now: Timestamp) -> Result<(), StoreError> {
        for client in self.store.clients.list(jid.as_str()).await? {
            let unused = refresh_expiry(client.last_seen) <= now;
            if client.kind == ClientKind::Access && unused {
                self.store.clients.revoke(jid.as_str(), &client.id).await?;
            }
        }
        Ok(())
    }

    fn granted(
        &self,
        account: Account,
        client: String,
        refresh: Option<String>,
        now: Timestamp,
    ) -> Result<Granted, TokenError> {
        let iat = now.as_micros().div_euclid(1_000_000);
        let claims = Claims {
            sub: account.jid(),
            user_id: account.id.0.to_string(),
            email: account.email.clone(),
            role: role_name(account.role).to_owned(),
            iat,
            exp: iat + ACCESS_SECONDS,
            jti: random_id(),
            client,
            epoch: account.credential_epoch.0,
        };
        let access = self.signer.sign(&claims)?;
        Ok(Granted { account, access, refresh, expires_in: ACCESS_SECONDS })
    }
}

/// The name of a role in tokens and in the REST interface.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Admin => "admin",
    }
}

/// Refresh tokens have no dots.
fn is_access_token(token: &str) -> bool {
    token.contains('.')
}

fn fresh_token() -> (String, TokenHash) {
    let token = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
    let hash = hash(&token);
    (token, hash)
}

fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

fn refresh_expiry(from: Timestamp) -> Timestamp {
    from.plus_micros(REFRESH_DAYS * MICROS_PER_DAY)
}
