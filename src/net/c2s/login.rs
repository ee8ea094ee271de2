//! What a stream asks on the way to its session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use wello_kernel::accounts::LoginError;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::AuthLabels;
use wello_kernel::sessions::ClientInfo;
use wello_store::{CredentialEpoch, StoreError};
use wello_stream::c2s::{BindRequest, Bound, Login, ResumeRequest, Resumed, Welcome};
use wello_stream::nonza::UserAgentId;
use wello_stream::sasl::{Answer, Condition, Failure, Lookup, Mechanism, Reason, ScramKeys};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;

use super::task::Task;

/// What is remembered of a login until the session exists.
#[derive(Default)]
pub struct LoginState {
    /// Who was looked up last, for counting failures.
    account: Option<BareJid>,
    /// Which password was shown; upgrades are to be of the same one.
    epoch: Option<CredentialEpoch>,
    info: ClientInfo,
}

/// How long the former connection may take to hand a session over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);

impl Task {
    pub(super) async fn look_up(&mut self, lookup: Lookup, _client: Option<UserAgentId>) {
        self.login = LoginState::default();
        let answer = match lookup {
            Lookup::ScramKeys { account, hash } => {
                self.login.account = Some(account.clone());
                if self.may_try(Some(&account)) {
                    match self.server.kernel.accounts.scram_keys(&account, hash).await {
                        Ok(found) => {
                            let (keys, epoch) = found.unzip();
                            self.login.epoch = epoch;
                            Answer::ScramKeys(keys)
                        }
                        Err(error) => unavailable(&error),
                    }
                } else {
                    Answer::Unavailable
                }
            }
            Lookup::Password { account, password } => {
                let address = Some(self.peer.address);
                let accounts = &self.server.kernel.accounts;
                match accounts.check_password(&account, password.expose(), address).await {
                    Ok(epoch) => {
                        self.login.epoch = Some(epoch);
                        Answer::Verdict(Ok(account))
                    }
                    Err(error) => Answer::Verdict(Err(failure(error))),
                }
            }
            Lookup::Bearer { .. } | Lookup::FastTokens { .. } | Lookup::Certificate { .. } => {
                Answer::Unavailable
            }
        };
        self.c2s.handle_lookup(answer);
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
        let accounts = &kernel.accounts;
        accounts.may_log_in(&login.identity).await?;
        accounts.record_login(&login.identity).await;
        let agent = login.user_agent.clone().unwrap_or_default();
        if let Some(id) = agent.id {
            let tag = login.tag.as_deref();
            accounts
                .record_client(&login.identity, id, &agent, tag)
                .await
                .map_err(|error| lost(&error))?;
        }
        self.login.info = ClientInfo {
            transport: self.peer.transport,
            address: Some(self.peer.address),
            encrypted: self.peer.secure,
            mechanism: login.mechanism.name(),
            client_id: agent.id.map(|id| id.to_string()),
            grant: None,
            software: agent.software,
            device: agent.device,
            since: kernel.clock.now(),
        };
        let mut welcome = Welcome::default();
        // Only who has shown the password may add keys for it.
        if self.login.epoch.is_some() {
            let missing = accounts.missing_keys(&login.identity, &login.upgrades).await;
            welcome.upgrades = missing.map_err(|error| lost(&error))?;
        }
        Ok(welcome)
    }

    pub(super) fn count_failure(&mut self, failure: &Failure, mechanism: Option<Mechanism>) {
        self.count("failure", mechanism);
        let account = self.login.account.take();
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

    pub(super) async fn bind(&mut self, request: BindRequest) {
        let kernel = Arc::clone(&self.server.kernel);
        let info = self.login.info.clone();
        let answer = match kernel.bind(&request.identity, &request.resource, info).await {
            Ok(session) => {
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
    pub(super) async fn register(&mut self, _host: BareJid, iq: Stanza) {
        let error = StanzaError::service_unavailable("");
        if let Some(refusal) = iq.refusal(&error) {
            self.c2s.send_element(&refusal.to_element());
        }
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
        LoginError::Throttled | LoginError::Unavailable => Failure::UNAVAILABLE,
    }
}
