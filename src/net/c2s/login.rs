//! What a stream asks on the way to its session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use wello_kernel::accounts::{FastLogin, LoginError, TokenError, permitted};
use wello_kernel::hooks::Stranger;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::AuthLabels;
use wello_kernel::sessions::ClientInfo;
use wello_store::{Account, CredentialEpoch, Role, StoreError};
use wello_stream::c2s::{BindRequest, Bound, Login, ResumeRequest, Resumed, Welcome};
use wello_stream::nonza::{UserAgent, UserAgentId};
use wello_stream::sasl::{
    Answer, Condition, Failure, Lookup, Mechanism, Reason, ScramHash, ScramKeys, Secret,
};
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;

use super::certificate::choose;
use super::task::Task;

/// What is remembered of a login until the session exists.
#[derive(Default)]
pub struct LoginState {
    /// Who was looked up last, for counting failures.
    tried: Option<BareJid>,
    /// The account that was found then, and when.
    found: Option<(Account, Instant)>,
    /// Which password was shown; upgrades are to be of the same one.
    epoch: Option<CredentialEpoch>,
    /// The tokens that were looked up, then which of them was used (XEP-0484).
    tokens: FastLogin,
    used_token: Option<usize>,
    /// The client whose access token was shown.
    grant: Option<String>,
    info: ClientInfo,
}

/// What was read of an account this long ago still holds: a client that answers the challenge at
/// once saves the second look, one that takes its time may have been switched off meanwhile.
const FRESH: Duration = Duration::from_secs(1);

/// How long the former connection may take to hand a session over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);

impl Task {
    pub(super) async fn look_up(&mut self, lookup: Lookup, client: Option<UserAgentId>) {
        self.login = LoginState::default();
        let answer = match lookup {
            Lookup::ScramKeys { account, hash } => self.look_up_keys(account, hash).await,
            Lookup::Password { account, password } => {
                let address = Some(self.peer.address);
                let accounts = &self.server.kernel.accounts;
                match accounts.check_password(&account, password.expose(), address).await {
                    Ok(found) => {
                        self.keep(found);
                        Answer::Verdict(Ok(account))
                    }
                    Err(error) => Answer::Verdict(Err(failure(error))),
                }
            }
            Lookup::FastTokens { account, mechanism } => {
                self.look_up_tokens(account, client, mechanism).await
            }
            Lookup::Bearer { token, .. } => self.look_up_bearer(&token).await,
            Lookup::Certificate { authzid } => {
                let claimed = self.c2s.claimed();
                Answer::Verdict(choose(&self.certified, authzid.as_ref(), claimed))
            }
        };
        self.c2s.handle_lookup(answer);
    }

    async fn look_up_keys(&mut self, account: BareJid, hash: ScramHash) -> Answer {
        self.login.tried = Some(account.clone());
        if !self.may_try(Some(&account)) {
            return Answer::Unavailable;
        }
        match self.server.kernel.accounts.scram_keys(&account, hash).await {
            Ok(Some((keys, found))) => {
                self.keep(found);
                Answer::ScramKeys(Some(keys))
            }
            Ok(None) => Answer::ScramKeys(None),
            Err(error) => unavailable(&error),
        }
    }

    /// Remembers the account whose password is being shown.
    fn keep(&mut self, account: Account) {
        self.login.epoch = Some(account.credential_epoch);
        self.login.found = Some((account, Instant::now()));
    }

    /// The account, if its owner may log in.
    async fn permitted(&mut self, jid: &BareJid) -> Result<Account, LoginError> {
        match self.login.found.take() {
            Some((account, read)) if read.elapsed() < FRESH => permitted(account),
            _ => self.server.kernel.accounts.may_log_in(jid).await,
        }
    }

    async fn look_up_tokens(
        &mut self,
        account: BareJid,
        client: Option<UserAgentId>,
        mechanism: Mechanism,
    ) -> Answer {
        self.login.tried = Some(account.clone());
        let Some(client) = client.filter(|_| self.may_try(Some(&account))) else {
            return Answer::Unavailable;
        };
        let accounts = &self.server.kernel.accounts;
        match accounts.fast_tokens(&account, &client.to_string(), mechanism).await {
            Ok(tokens) => {
                self.login.tokens = tokens;
                Answer::FastTokens(self.login.tokens.secrets())
            }
            Err(error) => unavailable(&error),
        }
    }

    async fn look_up_bearer(&mut self, token: &Secret) -> Answer {
        if !self.may_try(None) {
            return Answer::Unavailable;
        }
        let accounts = &self.server.kernel.accounts;
        let guest = accounts.verify_guest(token.expose());
        let owner = match guest {
            // Perhaps an account's.
            Err(TokenError::Invalid) => {
                accounts.verify_access(token.expose()).await.and_then(|access| {
                    self.login.grant = Some(access.client);
                    access.account.jid().parse().map_err(|_| TokenError::Unavailable)
                })
            }
            guest => guest,
        };
        let failure = |condition| Failure::new(condition, Reason::Credentials);
        Answer::Verdict(match owner {
            Ok(jid) => Ok(jid),
            Err(TokenError::Invalid | TokenError::Revoked) => {
                Err(failure(Condition::NotAuthorized))
            }
            Err(TokenError::Expired) => Err(failure(Condition::CredentialsExpired)),
            Err(TokenError::Disabled) => Err(failure(Condition::AccountDisabled)),
            Err(TokenError::Unavailable) => Err(Failure::UNAVAILABLE),
        })
    }

    fn may_try(&self, account: Option<&BareJid>) -> bool {
        let kernel = &self.server.kernel;
        let name = account.map_or("", |account| account.as_str());
        kernel.accounts.throttle().allows(name, Some(self.peer.address), kernel.clock.now())
    }

    pub(super) async fn log_in(&mut self, login: Login) {
        let answer = self.admit(&login).await;
        if answer.is_ok() {
            self.count("success", Some(login.mechanism));
        }
        self.c2s.handle_login(answer.map_err(failure));
    }

    async fn admit(&mut self, login: &Login) -> Result<Welcome, LoginError> {
        let kernel = Arc::clone(&self.server.kernel);
        let agent = login.user_agent.clone().unwrap_or_default();
        // A grant stands for itself among the account's clients, whatever the program is.
        let client = agent.id.filter(|_| self.login.grant.is_none());
        let welcome = match kernel.accounts.guests.serves(login.identity.domain()) {
            true => self.admit_guest(&login.identity)?,
            false => self.admit_account(login, &agent, client).await?,
        };
        self.login.info = ClientInfo {
            transport: self.peer.transport,
            address: Some(self.peer.address),
            encrypted: self.peer.secure,
            mechanism: login.mechanism.name(),
            client_id: client.map(|id| id.to_string()),
            grant: self.login.grant.take(),
            software: agent.software,
            device: agent.device,
            since: kernel.clock.now(),
        };
        Ok(welcome)
    }

    /// Nothing is remembered of guests.
    fn admit_guest(&mut self, jid: &BareJid) -> Result<Welcome, LoginError> {
        let guest = self.server.kernel.accounts.guests.find(jid.as_str());
        self.login.grant = Some(guest.ok_or(LoginError::Refused)?.link);
        Ok(Welcome::default())
    }

    async fn admit_account(
        &mut self,
        login: &Login,
        agent: &UserAgent,
        client: Option<UserAgentId>,
    ) -> Result<Welcome, LoginError> {
        let kernel = Arc::clone(&self.server.kernel);
        let (accounts, jid) = (&kernel.accounts, &login.identity);
        let account = self.permitted(jid).await?;
        if account.role == Role::Admin {
            self.shaper.set_rate(kernel.config.limits.admin_rate(), Instant::now());
        }
        let mut welcome = Welcome::default();
        if let (Some(used), Some(id)) = (login.token, agent.id) {
            let tokens = &self.login.tokens;
            welcome.renews_token =
                accounts.use_fast_token(jid, &id.to_string(), tokens, used).await?;
            self.login.used_token = Some(used.index);
        }
        let remembered = async {
            match client {
                Some(id) => accounts.record_client(jid, id, agent, login.tag.as_deref()).await,
                None => Ok(()),
            }
        };
        // At the same time, so that the client waits for the disk once.
        let ((), remembered) =
            tokio::join!(accounts.record_login(jid, account.last_login), remembered);
        remembered.map_err(|error| lost(&error))?;
        // Only who has shown the password may add keys for it.
        if self.login.epoch.is_some() {
            let missing = accounts.missing_keys(jid, &login.upgrades).await;
            welcome.upgrades = missing.map_err(|error| lost(&error))?;
        }
        Ok(welcome)
    }

    pub(super) fn count_failure(&mut self, failure: &Failure, mechanism: Option<Mechanism>) {
        self.count("failure", mechanism);
        let account = self.login.tried.take();
        let name = account.as_ref().map_or("", |account| account.as_str());
        tracing::info!(address = %self.peer.address, account = name, %failure, "login failed");
        // Passwords in clear are counted where they are checked.
        if failure.condition == Condition::NotAuthorized && mechanism != Some(Mechanism::Plain) {
            let kernel = &self.server.kernel;
            let name = account.as_ref().map(|account| account.as_str());
            let (address, now) = (Some(self.peer.address), kernel.clock.now());
            kernel.accounts.throttle().record_failure(name, address, now);
        }
    }

    fn count(&self, outcome: &'static str, mechanism: Option<Mechanism>) {
        let labels = AuthLabels { mechanism: mechanism.map_or("none", Mechanism::name), outcome };
        self.server.kernel.metrics.logins.get_or_create(&labels).inc();
    }

    /// XEP-0480: the login goes on whether the keys could be stored or not.
    pub(super) async fn store_keys(&mut self, identity: BareJid, keys: ScramKeys) {
        if let Some(epoch) = self.login.epoch {
            match self.server.kernel.accounts.add_keys(&identity, &keys, epoch).await {
                Ok(epoch) => self.login.epoch = epoch,
                Err(error) => tracing::error!(%error, "keys not stored"),
            }
        }
        self.c2s.handle_keys_stored();
    }

    /// XEP-0484: the login goes on whether there is a token or not.
    pub(super) async fn issue_token(
        &mut self,
        identity: &BareJid,
        client: UserAgentId,
        mechanism: Mechanism,
    ) {
        // What is granted for a day must not turn into something that lasts.
        if self.login.info.grant.is_some() {
            return self.c2s.handle_token(None);
        }
        let (accounts, client) = (&self.server.kernel.accounts, client.to_string());
        let used = self.login.used_token;
        let issued = accounts.issue_fast_token(identity, &client, mechanism, used).await;
        let token = issued.unwrap_or_else(|error| {
            tracing::error!(%error, "token not stored");
            None
        });
        self.c2s.handle_token(token.as_ref());
    }

    pub(super) async fn bind(&mut self, request: BindRequest) {
        let kernel = Arc::clone(&self.server.kernel);
        let info = self.login.info.clone();
        let answer = match kernel.bind(&request.identity, &request.resource, info).await {
            Ok(session) => {
                // XEP-0386, section 3.2: such a client catches up from the archive.
                if request.bind2 && kernel.config.archive.enabled {
                    session.set_declines_offline();
                }
                let inline = match request.bind2 {
                    true => kernel.bind_inline(&session, &request.inline).await,
                    false => Vec::new(),
                };
                let jid = session.jid.clone();
                self.adopt(session);
                Ok(Bound { jid, inline })
            }
            Err(error) => Err(error.0),
        };
        self.c2s.handle_bound(answer);
    }

    pub(super) async fn resume(&mut self, request: ResumeRequest) {
        let answer = self.take_over(&request).await;
        self.c2s.handle_resumed(answer);
    }

    async fn take_over(&mut self, request: &ResumeRequest) -> Option<Resumed> {
        let sessions = &self.server.kernel.sessions;
        let session = sessions.claim(&request.id, &request.identity)?;
        let (sender, management) = oneshot::channel();
        if !session.inbox().instruct(Delivery::HandOver(sender)) {
            return None;
        }
        let management = timeout(HAND_OVER_TIMEOUT, management).await.ok()?.ok()?;
        sessions.make_resumable(management.id().into(), &session);
        session.set_hibernating(false);
        tracing::info!(session = %session.id, address = %self.peer.address, "session resumed");
        let jid = session.jid.clone();
        self.adopt(session);
        Some(Resumed { jid, management })
    }

    /// XEP-0077 and XEP-0445 before login.
    pub(super) async fn register(&mut self, host: BareJid, iq: &Stanza) {
        let kernel = Arc::clone(&self.server.kernel);
        let address = Some(self.peer.address);
        let known = self.stranger.take().filter(|stranger| stranger.host == host);
        let mut stranger = known.unwrap_or(Stranger { host, address, invite: None });
        if let Some(answer) = kernel.answer_stranger(&mut stranger, iq).await {
            self.c2s.send_element(&answer.to_element());
        }
        self.stranger = Some(stranger);
    }
}

fn unavailable(error: &StoreError) -> Answer {
    tracing::error!(%error, "credentials not read");
    Answer::Unavailable
}

fn lost(error: &StoreError) -> LoginError {
    tracing::error!(%error, "login not recorded");
    LoginError::Unavailable
}

fn failure(error: LoginError) -> Failure {
    match error {
        LoginError::Refused => Failure::new(Condition::NotAuthorized, Reason::Credentials),
        LoginError::Disabled => Failure::new(Condition::AccountDisabled, Reason::Account),
        LoginError::Expired => Failure::new(Condition::CredentialsExpired, Reason::Credentials),
        LoginError::Throttled | LoginError::Unavailable => Failure::UNAVAILABLE,
    }
}
