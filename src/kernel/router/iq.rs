//! IQs: rules of RFC 6120, section 8.2.3, and the way to their handlers.

use std::sync::Arc;

use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::stanza::{IqType, Stanza};

use super::Target;
use crate::Kernel;
use crate::hooks::{Flow, IqAnswer, IqRequest, IqScope, Request, Service};
use crate::sessions::Session;

/// Who answers a request.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Account,
    Host,
    Service(&'a dyn Service),
}

impl Asked<'_> {
    fn scope(self) -> IqScope {
        match self {
            Asked::Account => IqScope::Account,
            Asked::Host => IqScope::Host,
            Asked::Service(_) => IqScope::Service,
        }
    }
}

impl Kernel {
    pub(super) async fn route_iq(
        self: &Arc<Self>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let admitted = match check(&stanza) {
            Ok(type_) => match self.guard(&stanza).await {
                Flow::Next => Ok(type_),
                Flow::Handled => return None,
                Flow::Refuse(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let type_ = match admitted {
            Ok(type_) => type_,
            Err(error) => {
                self.refuse(session, &stanza, &error).await;
                return None;
            }
        };
        let to = stanza.to.clone()?;
        match self.resolve(&to) {
            Target::Account if !to.is_bare() => self.iq_to_resource(&to, stanza, session).await,
            Target::Account => self.iq_to(Asked::Account, type_, &to, stanza, session).await,
            Target::Host => self.iq_to(Asked::Host, type_, &to, stanza, session).await,
            Target::Service(service) => {
                return self.iq_to_service(service, type_, &to, stanza, session).await;
            }
            Target::Remote => {
                if let Err(error) = self.send_remote(stanza.clone()).await {
                    self.refuse(session, &stanza, &error).await;
                }
            }
        }
        None
    }

    async fn iq_to_service(
        self: &Arc<Self>,
        service: Arc<dyn Service>,
        type_: IqType,
        to: &Jid,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let ours = match type_ {
            IqType::Get | IqType::Set => to.is_domain(),
            IqType::Result | IqType::Error => self.questions.expects(&stanza),
        };
        if !ours {
            return service.handle(self, stanza, session).await;
        }
        self.iq_to(Asked::Service(&*service), type_, to, stanza, session).await;
        None
    }

    async fn iq_to_resource(
        self: &Arc<Self>,
        to: &Jid,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) {
        // RFC 6121, section 8.5.3: an exact match, or service-unavailable.
        let delivered = match self.sessions.find(to) {
            Some(target) => self.post(&target, stanza.clone()),
            None => false,
        };
        if !delivered {
            let error = StanzaError::service_unavailable("no such resource");
            self.refuse(session, &stanza, &error).await;
        }
    }

    async fn iq_to(
        self: &Arc<Self>,
        asked: Asked<'_>,
        type_: IqType,
        to: &Jid,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) {
        let request = match type_ {
            IqType::Get => Request::Get,
            IqType::Set => Request::Set,
            IqType::Result | IqType::Error => return self.questions.handle_answer(stanza),
        };
        match self.hand_over(asked, request, to, &stanza, session).await {
            Ok(IqAnswer::Result(payload)) => self.answer(session, stanza.result(payload)).await,
            Ok(IqAnswer::Later) => {}
            Err(error) => self.refuse(session, &stanza, &error).await,
        }
    }

    async fn hand_over(
        self: &Arc<Self>,
        asked: Asked<'_>,
        request: Request,
        to: &Jid,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<IqAnswer, StanzaError> {
        let (Some(from), Some(payload)) = (&stanza.from, stanza.children().next()) else {
            return Err(StanzaError::bad_request(""));
        };
        let request = IqRequest { stanza, request, payload, from, to: to.bare(), session };
        let unavailable = StanzaError::service_unavailable("");
        // An account that does not exist looks like one that offers nothing.
        if matches!(asked, Asked::Account) && !self.accounts.exists(&request.to).await {
            return Err(unavailable);
        }
        match (self.hooks.iqs.get(&(asked.scope(), payload.ns())), asked) {
            (Some(handler), _) => handler.handle(self, request).await,
            (None, Asked::Service(service)) => service.answer(self, request).await,
            (None, Asked::Account | Asked::Host) => Err(unavailable),
        }
    }
}

/// RFC 6120, section 8.2.3: an id, a known type, one child in requests.
fn check(stanza: &Stanza) -> Result<IqType, StanzaError> {
    let type_ = stanza.iq_type().ok_or_else(|| StanzaError::bad_request("unknown IQ type"))?;
    if stanza.id.is_none() {
        return Err(StanzaError::bad_request("an IQ needs an id"));
    }
    let children = stanza.children().count();
    let allowed = match type_ {
        IqType::Get | IqType::Set => children == 1,
        IqType::Result => children <= 1,
        IqType::Error => true,
    };
    if allowed { Ok(type_) } else { Err(StanzaError::bad_request("wrong number of payloads")) }
}
