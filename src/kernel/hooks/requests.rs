//! Who answers requests: for accounts, hosts and services.

use std::sync::Arc;

use async_trait::async_trait;
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::disco::{DiscoInfo, DiscoItem};
use wello_wire::stanza::{Kind, Stanza};
use wello_wire::xml::Element;

use crate::Kernel;
use crate::sessions::Session;

/// Which addresses an IQ handler answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IqScope {
    /// The bare address of a local account.
    Account,
    /// A domain served here.
    Host,
    /// The domain of a [`Service`]: what all services answer alike.
    Service,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Get,
    Set,
}

/// An IQ that asks for something.
pub struct IqRequest<'a> {
    pub stanza: &'a Stanza,
    pub request: Request,
    pub payload: &'a Element,
    pub from: &'a Jid,
    /// Whom it asks: the bare JID of an account, a domain or the domain of a service.
    pub to: BareJid,
    /// The session it came from, when that is one of ours.
    pub session: Option<&'a Arc<Session>>,
}

impl IqRequest<'_> {
    /// The account's own client asks its own account, or somebody who may speak for the account does.
    pub fn is_own(&self) -> bool {
        match self.session {
            Some(session) => session.jid.bare_str() == self.to.as_str(),
            // Nobody from elsewhere has an address of ours.
            None => self.from.as_str() == self.to.as_str(),
        }
    }

    /// The session, for what only the account's own clients may do.
    pub fn own_session(&self) -> Result<&Arc<Session>, StanzaError> {
        match self.session {
            Some(session) if self.is_own() => Ok(session),
            _ => Err(StanzaError::forbidden("only for the account's own clients")),
        }
    }

    /// Refuses the other of get and set.
    pub fn expect(&self, request: Request) -> Result<(), StanzaError> {
        if self.request == request {
            Ok(())
        } else {
            Err(StanzaError::bad_request("wrong IQ type for this payload"))
        }
    }
}

/// The answer to an IQ.
#[derive(Debug)]
pub enum IqAnswer {
    /// A result, with its payload if any.
    Result(Option<Element>),
    /// The handler sends the answer itself.
    Later,
}

impl From<Element> for IqAnswer {
    fn from(payload: Element) -> IqAnswer {
        IqAnswer::Result(Some(payload))
    }
}

#[async_trait]
pub trait IqHandler: Send + Sync {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError>;
}

/// What service discovery tells about an address (XEP-0030), gathered from all modules.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// Adds to the disco#info of the address itself.
    async fn info(&self, _kernel: &Arc<Kernel>, _query: &DiscoQuery, _info: &mut DiscoInfo) {}

    /// Answers for a node that is this module's.
    async fn node(&self, _kernel: &Arc<Kernel>, _query: &DiscoQuery) -> Option<DiscoInfo> {
        None
    }

    /// Adds to disco#items; `Some` also when the node is this module's and empty.
    async fn items(&self, _kernel: &Arc<Kernel>, _query: &DiscoQuery) -> Option<Vec<DiscoItem>> {
        None
    }
}

/// Who asks what about whom.
pub struct DiscoQuery {
    pub scope: IqScope,
    pub to: BareJid,
    pub from: Jid,
    pub node: Option<String>,
}

/// A part of the server with a domain of its own below a host, such as `conference.example.org`.
#[async_trait]
pub trait Service: Send + Sync {
    /// The identities, features and forms of its domain. What all services have is added.
    async fn info(&self, kernel: &Arc<Kernel>, domain: &BareJid) -> DiscoInfo;

    /// The disco#items of its domain.
    async fn items(&self, _kernel: &Arc<Kernel>, _query: &DiscoQuery) -> Vec<DiscoItem> {
        Vec::new()
    }

    /// Answers a request to its domain that no handler of [`IqScope::Service`] takes.
    async fn answer(
        &self,
        _kernel: &Arc<Kernel>,
        _request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        Err(StanzaError::service_unavailable(""))
    }

    /// Takes whatever else is sent to its domain, and all that is sent to addresses below. The stanza has passed the
    /// guards; an IQ is well-formed (RFC 6120, section 8.2.3). Requests are answered by [`Kernel::answer`].
    ///
    /// The ticket tells when what had to be stored is safe, as in [`Kernel::handle_client`].
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        if stanza.kind != Kind::Presence {
            kernel.refuse(session, &stanza, &StanzaError::service_unavailable("")).await;
        }
        None
    }

    /// The server goes down: the last chance to tell sessions, which their clients may resume.
    async fn shut_down(&self, _kernel: &Arc<Kernel>) {}
}
