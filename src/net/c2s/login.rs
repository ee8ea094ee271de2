//! What a stream asks on the way to its session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use wello_kernel::accounts::LoginError;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::AuthLabels;
use wello_kernel::sessions::ClientInfo;
use wello_stream::c2s::{BindRequest, Bound, Login, ResumeRequest, Resumed, Welcome};
use wello_stream::sasl::{Answer, Condition, Failure, Lookup, Mechanism, Reason};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;

use super::task::Task;

/// What is remembered of a login until the session exists.
#[derive(Default)]
pub struct LoginState {
    /// Who was looked up last, for counting failures.
    account: Option<BareJid>,
    mechanism: Option<Mechanism>,
    info: ClientInfo,
}

/// How long the former connection may take to hand a session over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);

impl Task {
    pub(super) async fn look_up(&mut self, lookup: Lookup) {
        let kernel = Arc::clone(&self.server.kernel);
        let answer = match lookup {
            Lookup::ScramKeys { account, hash } => {
                self.login.account = Some(account.clone());
                let address = Some(self.peer.address);
                let now = kernel.clock.now();
                if kernel.accounts.throttle().allows(account.as_str(), address, now) {
                    match kernel.accounts.scram_keys(&account, hash).await {
                        Ok(keys) => Answer::ScramKeys(keys),
                        Err(error) => unavailable(&error),
                    }
                } else {
                    Answer::Unavailable
                }
            }
            Lookup::Password { account, password } => {
                self.login.account = Some(account.clone());
                let address = Some(self.peer.address);
                let checked =
                    kernel.accounts.check_password(&account, password.expose(), address).await;
                match checked {
                    Ok(()) => Answer::Verdict(Ok(account)),
                    Err(error) => Answer::Verdict(Err(failure(error))),
                }
            }
            Lookup::Bearer { .. } | Lookup::FastTokens { .. } | Lookup::Certificate { .. } => {
                Answer::Unavailable
            }
        };
        self.c2s.handle_lookup(answer);
    }

    pub(super) async fn log_in(&mut self, login: Login) {
        let kernel = Arc::clone(&self.server.kernel);
        let answer = match kernel.accounts.may_log_in(&login.identity).await {
            Ok(()) => {
                kernel.accounts.record_login(&login.identity).await;
                self.login.mechanism = Some(login.mechanism);
                self.login.info = ClientInfo {
                    transport: self.peer.transport,
                    address: Some(self.peer.address),
                    encrypted: self.peer.secure,
                    mechanism: login.mechanism.name(),
                    since: kernel.clock.now(),
                    ..ClientInfo::default()
                };
                let labels = AuthLabels { mechanism: login.mechanism.name(), outcome: "success" };
                kernel.metrics.logins.get_or_create(&labels).inc();
                Ok(Welcome { token: None })
            }
            Err(error) => Err(failure(error)),
        };
        self.c2s.handle_login(answer);
    }

    pub(super) fn count_failure(&mut self, failure: &Failure) {
        let kernel = &self.server.kernel;
        let mechanism = self.login.mechanism.map_or("none", Mechanism::name);
        let labels = AuthLabels { mechanism, outcome: "failure" };
        kernel.metrics.logins.get_or_create(&labels).inc();
        let account = self.login.account.take();
        let name = account.as_ref().map_or("", |account| account.as_str());
        tracing::info!(address = %self.peer.address, account = name, %failure, "login failed");
        if let Some(account) = account
            && failure.condition == Condition::NotAuthorized
        {
            let now = kernel.clock.now();
            let address = Some(self.peer.address);
            kernel.accounts.throttle().record_failure(account.as_str(), address, now);
        }
    }

    pub(super) async fn bind(&mut self, request: BindRequest) {
        let kernel = Arc::clone(&self.server.kernel);
        let info = std::mem::take(&mut self.login.info);
        let answer = match kernel.bind(&request.identity, &request.resource, info).await {
            Ok(session) => {
                let jid = session.jid.clone();
                self.adopt(session);
                Ok(Bound { jid, inline: Vec::new() })
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

fn unavailable(error: &wello_store::StoreError) -> Answer {
    tracing::error!(%error, "credentials not read");
    Answer::Unavailable
}

fn failure(error: LoginError) -> Failure {
    let condition = match error {
        LoginError::Refused => Condition::NotAuthorized,
        LoginError::Disabled => Condition::AccountDisabled,
        LoginError::Throttled | LoginError::Unavailable => return Failure::UNAVAILABLE,
    };
    Failure::new(condition, Reason::Account)
}
