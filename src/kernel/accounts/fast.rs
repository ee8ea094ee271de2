//! Tokens for the next login (XEP-0484). A client has at most two of them: the current one, and the
//! one before it until the client has shown the current one.

use wello_store::{FastToken, FastTokens, StoreError, Timestamp};
use wello_stream::c2s::TokenUse;
use wello_stream::nonza::Token;
use wello_stream::sasl::{HtBinding, Mechanism, Secret};
use wello_wire::jid::BareJid;

use super::{Accounts, LoginError, MICROS_PER_DAY};

/// A token that is older is replaced at its next use: often enough that a stolen one is soon
/// worthless, seldom enough that few logins cost a write.
const RENEWAL_AGE_MICROS: i64 = MICROS_PER_DAY;

/// [`TokenUse::index`] of the former token in [`FastLogin::secrets`].
const FORMER: usize = 1;

/// The tokens by which a client may be logging in.
#[derive(Clone, Debug, Default)]
pub struct FastLogin {
    tokens: Option<FastTokens>,
}

impl FastLogin {
    /// For [`Answer::FastTokens`](wello_stream::sasl::Answer::FastTokens).
    pub fn secrets(&self) -> Vec<Secret> {
        let tokens = self.tokens.iter();
        let both = tokens.flat_map(|tokens| [Some(&tokens.current), tokens.previous.as_ref()]);
        both.flatten().map(secret).collect()
    }

    fn used(&self, index: usize) -> Option<(&FastTokens, &FastToken)> {
        let tokens = self.tokens.as_ref()?;
        let former = (index == FORMER).then_some(tokens.previous.as_ref());
        Some((tokens, former.unwrap_or(Some(&tokens.current))?))
    }
}

impl Accounts {
    /// The mechanisms that tokens are made for; none when the operator wants no tokens.
    pub fn fast_mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        let all = [HtBinding::Expr, HtBinding::Endp, HtBinding::None];
        all.into_iter().map(Mechanism::HtSha256).filter(|_| self.token_micros > 0)
    }

    /// The tokens that were issued to a client for this mechanism, expired ones among them.
    pub async fn fast_tokens(
        &self,
        jid: &BareJid,
        client: &str,
        mechanism: Mechanism,
    ) -> Result<FastLogin, StoreError> {
        let tokens = self.store.clients.fast(jid.as_str(), client).await?;
        Ok(FastLogin { tokens: tokens.filter(|tokens| tokens.mechanism == mechanism.name()) })
    }

    /// Says whether the token that a client has proved to have is good, and takes note of its
    /// use. Returns whether it is to be replaced.
    pub async fn use_fast_token(
        &self,
        jid: &BareJid,
        client: &str,
        login: &FastLogin,
        used: TokenUse,
    ) -> Result<bool, LoginError> {
        let now = self.clock.now();
        let (tokens, token) = login.used(used.index).ok_or(LoginError::Refused)?;
        if token.expires <= now {
            return Err(LoginError::Expired);
        }
        let former = used.index == FORMER;
        self.note_use(jid, client, tokens, used).await.map_err(|error| {
            tracing::error!(%jid, %error, "use of a token not recorded");
            LoginError::Unavailable
        })??;
        Ok(!used.invalidate && (former || token.issued.plus_micros(RENEWAL_AGE_MICROS) <= now))
    }

    async fn note_use(
        &self,
        jid: &BareJid,
        client: &str,
        tokens: &FastTokens,
        used: TokenUse,
    ) -> Result<Result<(), LoginError>, StoreError> {
        let (account, clients) = (jid.as_str(), &self.store.clients);
        if used.index != FORMER && tokens.previous.is_some() {
            clients.settle_fast(account, client).await?;
        }
        if let Some(count) = used.count {
            // COMPAT: clients count from zero, but "above nothing" begins with one.
            let count = count.saturating_add(1);
            if !clients.advance_fast(account, client, count).await? {
                return Ok(Err(LoginError::Refused));
            }
        }
        if used.invalidate {
            clients.drop_fast(account, client).await?;
        }
        Ok(Ok(()))
    }

    /// A token for a client's next login. `used` is the one by which it came in, if it did.
    pub async fn issue_fast_token(
        &self,
        jid: &BareJid,
        client: &str,
        mechanism: Mechanism,
        used: Option<usize>,
    ) -> Result<Option<Token>, StoreError> {
        let now = self.clock.now();
        if used == Some(FORMER) {
            let known = self.fast_tokens(jid, client, mechanism).await?;
            // The client never got the current one. A third would make its own invalid before it
            // has shown that it got another.
            let current = known.tokens.map(|tokens| tokens.current);
            if let Some(current) = current.filter(|current| current.expires > now) {
                return Ok(Some(token(secret(&current), current.expires)));
            }
        }
        // Without randomness there is no token, and the login goes on.
        let Ok(secret) = Secret::random_token() else { return Ok(None) };
        let expires = now.plus_micros(self.token_micros);
        let fresh = FastToken { secret: secret.expose().into(), issued: now, expires };
        let issued =
            self.store.clients.rotate_fast(jid.as_str(), client, mechanism.name(), &fresh).await?;
        Ok(issued.then(|| token(secret, expires)))
    }
}

/// They are text since they were made.
fn secret(token: &FastToken) -> Secret {
    Secret::new(String::from_utf8_lossy(&token.secret))
}

fn token(secret: Secret, expires: Timestamp) -> Token {
    // Whole seconds, which every client can read.
    let expires = Timestamp::from_secs(expires.as_micros().div_euclid(1_000_000));
    Token { token: secret, expiry: expires.to_string() }
}
