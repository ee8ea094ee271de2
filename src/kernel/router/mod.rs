//! Where a stanza goes: validates it, runs the stages and answers what nobody handled.

pub mod delivery;
mod iq;
mod message;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;
use wello_store::{AccountStatus, Role, Ticket};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{Kind, Stanza};

use crate::Kernel;
use crate::hooks::{Flow, Service};
use crate::sessions::Session;

/// The client claimed somebody else's address (RFC 6120, section 8.1.2.1): a stream error.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("stanza from an address that is not the client's own")]
pub struct InvalidFrom;

/// What kind of place an address is.
pub(crate) enum Target {
    /// An account of a host served here, or one of its resources.
    Account,
    /// A domain served here.
    Host,
    Service(Arc<dyn Service>),
    Remote,
}

impl Kernel {
    /// Takes a stanza from a client. The ticket tells when what had to be stored is safe; until
    /// then the stanza must not be acknowledged (XEP-0198).
    pub async fn handle_client(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
    ) -> Result<Option<Ticket>, InvalidFrom> {
        if let Some(from) = &stanza.from {
            // The resource may be another: Converse.js, resuming a stream after its page was loaded
            // again, claims one that it has just made up. The section lets us override it.
            if from.bare_str() != session.jid.bare_str() {
                return Err(InvalidFrom);
            }
        }
        stanza.from = Some(session.jid.clone().into());
        self.metrics.stanzas_received.count(stanza.kind);
        let work = std::panic::AssertUnwindSafe(self.accept(session, stanza.clone()));
        match work.catch_unwind().await {
            Ok(ticket) => Ok(ticket),
            Err(_) => {
                tracing::error!(session = %session.id, kind = stanza.kind.name(), "handler panicked");
                self.metrics.handler_panics.inc();
                self.refuse(Some(session), &stanza, &StanzaError::internal_server_error("")).await;
                Ok(None)
            }
        }
    }

    async fn accept(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
    ) -> Option<Ticket> {
        for hook in &self.hooks.permits {
            if let Err(error) = hook.permit(self, session, &stanza).await {
                self.refuse(Some(session), &stanza, &error).await;
                return None;
            }
        }
        match stanza.kind {
            Kind::Message => {
                // RFC 6121, section 8.1: no address means the sender's own account.
                stanza.to.get_or_insert_with(|| session.bare().into());
                self.route_message(stanza, Some(session)).await
            }
            Kind::Iq => {
                stanza.to.get_or_insert_with(|| session.bare().into());
                self.route_iq(stanza, Some(session)).await
            }
            Kind::Presence => {
                self.handle_client_presence(session, stanza).await;
                None
            }
        }
    }

    /// Takes a stanza from another server or a component. Both addresses are there, and the sender's
    /// domain has been verified.
    pub async fn handle_remote(self: &Arc<Self>, stanza: Stanza) -> Option<Ticket> {
        self.metrics.remote_stanzas_received.count(stanza.kind);
        let known = stanza.kind != Kind::Presence || stanza.presence_type().is_some();
        let work = async {
            match known {
                true => self.route(stanza.clone()).await,
                false => {
                    let error = StanzaError::bad_request("unknown presence type");
                    self.refuse(None, &stanza, &error).await;
                    None
                }
            }
        };
        match std::panic::AssertUnwindSafe(work).catch_unwind().await {
            Ok(ticket) => ticket,
            Err(_) => {
                tracing::error!(from = ?stanza.from, kind = stanza.kind.name(), "handler panicked");
                self.metrics.handler_panics.inc();
                self.refuse(None, &stanza, &StanzaError::internal_server_error("")).await;
                None
            }
        }
    }

    /// Sends a stanza of the server's own, or one that came in from elsewhere with its sender
    /// verified. Boxed, because answers are routed by what is routed.
    pub fn route(self: &Arc<Self>, stanza: Stanza) -> BoxFuture<'_, Option<Ticket>> {
        Box::pin(async move {
            match stanza.kind {
                Kind::Message => self.route_message(stanza, None).await,
                Kind::Iq => self.route_iq(stanza, None).await,
                Kind::Presence => {
                    self.route_presence(stanza, None).await;
                    None
                }
            }
        })
    }

    /// Answers with an error, where one may be sent.
    pub async fn refuse(
        self: &Arc<Self>,
        session: Option<&Arc<Session>>,
        stanza: &Stanza,
        error: &StanzaError,
    ) {
        if let Some(answer) = stanza.refusal(error) {
            self.answer(session, answer).await;
        }
    }

    /// Sends an answer back to where the question came from.
    pub async fn answer(self: &Arc<Self>, session: Option<&Arc<Session>>, answer: Stanza) {
        match session {
            Some(session) => session.reply(answer),
            None => {
                self.route(answer).await;
            }
        }
    }

    /// The account of ours behind an address, for what only our own users may ask.
    pub async fn local_account(&self, from: &Jid) -> Result<BareJid, StanzaError> {
        let account = from.bare();
        let is_ours = account.local().is_some() && self.hosts.contains(account.domain());
        if is_ours && self.accounts.exists(&account).await {
            return Ok(account);
        }
        Err(StanzaError::forbidden("only for accounts of this server"))
    }

    /// The role of an account here that may be used; `None` for everybody else.
    pub async fn role_of(&self, jid: &Jid) -> Option<Role> {
        if jid.local().is_none() || !self.hosts.contains(jid.domain()) {
            return None;
        }
        let account = self.store.accounts.find(jid.bare_str()).await.ok()??;
        (account.status == AccountStatus::Active).then_some(account.role)
    }

    /// Whether an address is of one of our hosts or services.
    pub fn is_ours(&self, jid: &Jid) -> bool {
        self.hosts.contains(jid.domain()) || self.hooks.services.contains_key(jid.domain())
    }

    pub(crate) fn resolve(&self, to: &Jid) -> Target {
        if self.hosts.contains(to.domain()) {
            return if to.local().is_some() { Target::Account } else { Target::Host };
        }
        match self.hooks.services.get(to.domain()) {
            Some(service) => Target::Service(Arc::clone(service)),
            None => Target::Remote,
        }
    }

    /// Stage Guard.
    pub(crate) async fn guard(self: &Arc<Self>, stanza: &Stanza) -> Flow {
        for hook in self.hooks.guards.iter().filter(|hook| hook.concerns(self, stanza)) {
            match hook.guard(self, stanza).await {
                Flow::Next => {}
                decided => return decided,
            }
        }
        Flow::Next
    }

    /// Tells a component something that needs no answer. While it is away there is nobody to tell.
    pub async fn tell_component(self: &Arc<Self>, stanza: Stanza) {
        if let Err(error) = self.send_remote(stanza).await {
            tracing::debug!(%error, "component not told");
        }
    }

    pub(crate) async fn send_remote(self: &Arc<Self>, stanza: Stanza) -> Result<(), StanzaError> {
        match self.remote.get() {
            Some(remote) => remote.send(self, stanza).await,
            None => Err(StanzaError::remote_server_not_found("this server does not federate")),
        }
    }
}
