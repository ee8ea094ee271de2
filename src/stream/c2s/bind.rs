//! Resource binding of RFC 6120, section 7, resumption outside SASL2, and what may be asked before
//! login.

use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::stanza::{IqType, Kind, Stanza};
use wello_wire::xml::Element;

use super::negotiation::{Negotiation, Stage};
use super::{
    Action, BindRequest, Bound, C2s, Established, Phase, ResourceWish, ResumeRequest, Resumed,
};
use crate::sm::{self, Resumption, failed};

impl C2s {
    pub(super) fn handle_early_iq(&mut self, mut negotiation: Negotiation, element: Element) {
        let Ok(iq) = Stanza::from_element(element) else {
            return self.fail(&StreamError::new(StreamCondition::BadFormat));
        };
        let bind = iq.child("bind", ns::BIND);
        match (&negotiation.stage, bind) {
            (Stage::Authenticated(identity), Some(bind)) if iq.iq_type() == Some(IqType::Set) => {
                let identity = identity.clone();
                self.actions.push_back(Action::Bind(BindRequest {
                    identity: identity.clone(),
                    resource: wish(bind),
                    inline: Vec::new(),
                    bind2: false,
                }));
                negotiation.stage = Stage::Binding(identity, iq);
                self.wait(negotiation);
            }
            (Stage::Offered, _) if is_registration(&iq) => self.register(negotiation, iq),
            // RFC 6120, section 7.1: nothing may be sent before a resource is bound.
            _ => self.forbid(),
        }
    }

    fn register(&mut self, negotiation: Negotiation, iq: Stanza) {
        if !self.channel.secure {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return self.fail(&error.with_text("TLS is required first"));
        }
        let host = negotiation.host.clone();
        self.actions.push_back(Action::Register { host, iq });
        self.wait(negotiation);
    }

    /// The driver has bound a resource.
    pub(super) fn finish_bind(
        &mut self,
        mut negotiation: Negotiation,
        answer: Result<Bound, StanzaError>,
    ) {
        let (identity, iq) = match std::mem::replace(&mut negotiation.stage, Stage::Offered) {
            Stage::Binding(identity, iq) => (identity, iq),
            Stage::Completing(completion) => {
                return self.complete_bind(negotiation, *completion, answer);
            }
            other => {
                negotiation.stage = other;
                return self.wait(negotiation);
            }
        };
        match answer {
            Ok(Bound { jid, .. }) => {
                let text = Element::new("jid", ns::BIND).with_text(jid.as_str());
                let result = iq.result(Some(Element::new("bind", ns::BIND).with_child(text)));
                self.output.write(|bytes, default_ns| result.write(bytes, default_ns));
                self.phase = Phase::Established(Box::new(Established::new(jid, None)));
            }
            Err(error) => {
                if let Some(refusal) = iq.refusal(&error) {
                    self.output.write(|bytes, default_ns| refusal.write(bytes, default_ns));
                }
                negotiation.stage = Stage::Authenticated(identity);
                self.wait(negotiation);
            }
        }
    }

    /// XEP-0198, section 5.
    pub(super) fn start_resume(&mut self, mut negotiation: Negotiation, element: &Element) {
        let Stage::Authenticated(identity) = &negotiation.stage else {
            self.output.element(&failed("unexpected-request"));
            return self.wait(negotiation);
        };
        let Some(Resumption { id, h }) = Resumption::read(element) else {
            self.output.element(&failed("bad-request"));
            return self.wait(negotiation);
        };
        let identity = identity.clone();
        let request = ResumeRequest { identity: identity.clone(), id, h };
        self.actions.push_back(Action::Resume(request));
        negotiation.stage = Stage::Resuming(identity, h);
        self.wait(negotiation);
    }

    /// The driver found the session, or did not.
    pub(super) fn finish_resume(&mut self, mut negotiation: Negotiation, answer: Option<Resumed>) {
        let (identity, h) = match std::mem::replace(&mut negotiation.stage, Stage::Offered) {
            Stage::Resuming(identity, h) => (identity, h),
            Stage::Completing(completion) => {
                return self.complete_resumption(negotiation, *completion, answer);
            }
            other => {
                negotiation.stage = other;
                return self.wait(negotiation);
            }
        };
        let Some(resumed) = answer else {
            self.output.element(&failed("item-not-found"));
            negotiation.stage = Stage::Authenticated(identity);
            return self.wait(negotiation);
        };
        if let Some((established, resumed)) = self.take_over(resumed, h) {
            self.output.element(&resumed);
            self.enter_resumed(established);
        }
    }

    /// Makes the session this stream's own and returns it with `<resumed/>`; `None` when the
    /// client claims to have handled more than it was sent, which ends the stream.
    pub(super) fn take_over(
        &mut self,
        resumed: Resumed,
        h: u32,
    ) -> Option<(Box<Established>, Element)> {
        let Resumed { jid, mut management } = resumed;
        let outcome = management.handle_acknowledgement(h);
        let element = sm::resumed(&management);
        let established = Box::new(Established::new(jid, Some(management)));
        match outcome {
            Ok(_) => Some((established, element)),
            Err(error) => {
                self.phase = Phase::Established(established);
                self.fail(&error.into());
                None
            }
        }
    }

    /// Sends what the client has missed and goes on with its session.
    pub(super) fn enter_resumed(&mut self, established: Box<Established>) {
        if let Some(management) = established.management() {
            self.resend(management);
        }
        self.phase = Phase::Established(established);
    }
}

/// RFC 6120, section 7.7: an empty wish is none.
fn wish(bind: &Element) -> ResourceWish {
    match bind.child("resource", ns::BIND).map(|wish| wish.text().into_owned()) {
        Some(wish) if !wish.is_empty() => ResourceWish::Exactly(wish),
        _ => ResourceWish::Any,
    }
}

/// XEP-0077 and XEP-0445, which work before login.
fn is_registration(iq: &Stanza) -> bool {
    iq.kind == Kind::Iq
        && iq.children().any(|child| {
            child.is("query", ns::REGISTER) || matches!(child.ns(), ns::PARS | ns::IBR_TOKEN)
        })
}
