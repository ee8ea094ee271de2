//! From an authenticated client to `<success/>` of XEP-0388: its token, its resumption, its
//! resource, in this order.

use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::negotiation::{Negotiation, Stage};
use super::{
    Action, BindRequest, Bound, C2s, Established, Phase, ResourceWish, ResumeRequest, Resumed,
};
use crate::nonza::{self, Authenticated, Sasl2, Token, UserAgentId};
use crate::sasl::Mechanism;
use crate::sm::{Resumption, failed, has_resumption};

/// What is left to do for a client that asked for more than its login.
pub(super) struct Completion {
    pub(super) identity: BareJid,
    /// The mechanism's last word, unless `<continue/>` carried it.
    pub(super) data: Option<Vec<u8>>,
    /// A token for this client and this mechanism.
    pub(super) token: Option<(UserAgentId, Mechanism)>,
    pub(super) resume: Option<Resumption>,
    /// The count of the resumption that is under way.
    pub(super) resuming: Option<u32>,
    pub(super) bind: Option<nonza::BindRequest>,
    /// What the client is told in `<success/>`.
    pub(super) results: Vec<Element>,
}

impl C2s {
    /// Asks the driver for the next thing, until nothing is left.
    pub(super) fn complete(&mut self, mut negotiation: Negotiation, mut completion: Completion) {
        let identity = completion.identity.clone();
        if let Some((client, mechanism)) = completion.token.take() {
            self.actions.push_back(Action::IssueToken { identity, client, mechanism });
        } else if let Some(Resumption { id, h }) = completion.resume.take() {
            completion.resuming = Some(h);
            self.actions.push_back(Action::Resume(ResumeRequest { identity, id, h }));
        } else if let Some(bind) = &completion.bind {
            let resource = match &bind.tag {
                Some(tag) => ResourceWish::Tagged(tag.clone()),
                None => ResourceWish::Any,
            };
            let inline = bind.inline.clone();
            let request = BindRequest { identity, resource, inline, bind2: true };
            self.actions.push_back(Action::Bind(request));
        } else {
            return self.succeed_unbound(negotiation, completion);
        }
        negotiation.stage = Stage::Completing(Box::new(completion));
        self.wait(negotiation);
    }

    /// The driver made a token, or could not: the login does not depend on it.
    pub(super) fn complete_token(&mut self, mut negotiation: Negotiation, token: Option<&Token>) {
        match std::mem::replace(&mut negotiation.stage, Stage::Offered) {
            Stage::Completing(mut completion) => {
                completion.results.extend(token.map(Token::write));
                self.complete(negotiation, *completion);
            }
            other => {
                negotiation.stage = other;
                self.wait(negotiation);
            }
        }
    }

    /// The driver found the session, or did not: then a resource is bound, if the client asked
    /// for that, too.
    pub(super) fn complete_resumption(
        &mut self,
        negotiation: Negotiation,
        mut completion: Completion,
        answer: Option<Resumed>,
    ) {
        let h = completion.resuming.take().unwrap_or_default();
        let Some(resumed) = answer else {
            completion.results.push(failed("item-not-found"));
            return self.complete(negotiation, completion);
        };
        let Some((established, resumed)) = self.take_over(resumed, h) else { return };
        completion.results.push(resumed);
        self.succeed(completion, established.jid.clone().into());
        // XEP-0198, section 9.2: no features, the stream is where it was.
        self.enter_resumed(established);
    }

    /// The driver has bound a resource.
    pub(super) fn complete_bind(
        &mut self,
        negotiation: Negotiation,
        mut completion: Completion,
        answer: Result<Bound, StanzaError>,
    ) {
        let request = completion.bind.take().unwrap_or_default();
        // XEP-0386 has no words for a refusal. The client is logged in without a resource; asking
        // for one in the old way it learns why.
        let Ok(Bound { jid, inline }) = answer else {
            return self.complete(negotiation, completion);
        };
        let mut established = Box::new(Established::new(jid, None));
        let mut bound = nonza::Bound { inline };
        self.enable_inline(&mut established, &request.inline, &mut bound);
        completion.results.push(bound.write());
        let managed = established.management().is_some();
        self.succeed(completion, established.jid.clone().into());
        self.offer_rest(managed);
        self.phase = Phase::Established(established);
    }

    /// The features of a session that the stream has itself (XEP-0198, section 9.1; XEP-0352).
    fn enable_inline(
        &mut self,
        established: &mut Established,
        requests: &[Element],
        bound: &mut nonza::Bound,
    ) {
        for request in requests {
            match (request.name(), request.ns()) {
                ("enable", ns::SM) if established.management().is_none() => {
                    let resume = has_resumption(request);
                    bound.inline.push(self.start_management(established, resume));
                }
                ("inactive", ns::CSI) => {
                    established.deactivate();
                    self.actions.push_back(Action::ClientState { active: false });
                }
                _ => {}
            }
        }
    }

    fn succeed_unbound(&mut self, mut negotiation: Negotiation, completion: Completion) {
        let identity = completion.identity.clone();
        self.succeed(completion, identity.clone().into());
        self.offer_session();
        negotiation.stage = Stage::Authenticated(identity);
        self.wait(negotiation);
    }

    /// XEP-0388, "Success": no restart follows.
    fn succeed(&mut self, completion: Completion, identifier: Jid) {
        let success = Authenticated {
            additional_data: completion.data,
            authorization_identifier: identifier,
            inline: completion.results,
        };
        self.output.element(&Sasl2::Success(Box::new(success)).write());
        self.input.set_limits(self.settings.limits);
    }
}
