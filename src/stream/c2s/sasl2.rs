//! The SASL profile of XEP-0388, with what clients ask for together with their login.

use wello_wire::ns;
use wello_wire::xml::Element;

use super::completion::Completion;
use super::negotiation::{Negotiation, Profile, ProfileKind, Stage};
use super::{C2s, Welcome};
use crate::nonza::{
    Authenticate, BindRequest, FastRequest, RequestToken, Sasl2, UserAgent, UserAgentId,
    requested_upgrades,
};
use crate::sasl::{
    Condition, DEFAULT_MAX_MESSAGE, Failure, Mechanism, Offer, Reason, ScramHash, Success,
};
use crate::sm::Resumption;

/// What the client asked for in `<authenticate/>`.
pub(super) struct Inline {
    pub(super) user_agent: Option<UserAgent>,
    pub(super) upgrades: Vec<ScramHash>,
    pub(super) fast: Option<FastRequest>,
    /// The mechanism of the token that it wants.
    pub(super) token: Option<Mechanism>,
    pub(super) resume: Option<Resumption>,
    pub(super) bind: Option<BindRequest>,
}

const MALFORMED: Failure = Failure::new(Condition::MalformedRequest, Reason::Syntax);

impl Inline {
    fn read(request: &Authenticate, offer: &Offer) -> Result<Inline, Failure> {
        let resume = request.inline_child("resume", ns::SM).map(Resumption::read);
        let token = request.inline_child("request-token", ns::FAST).and_then(RequestToken::read);
        let token = token.and_then(|wish| wish.mechanism?.parse().ok());
        Ok(Inline {
            user_agent: request.user_agent.clone(),
            upgrades: requested_upgrades(&request.inline),
            fast: request.inline.iter().find_map(FastRequest::read).transpose()?,
            token: token.filter(|mechanism| offer.fast.contains(mechanism)),
            resume: resume.map(|resume| resume.ok_or(MALFORMED)).transpose()?,
            bind: request.inline.iter().find_map(BindRequest::read),
        })
    }

    pub(super) fn client(&self) -> Option<UserAgentId> {
        self.user_agent.as_ref()?.id
    }
}

impl C2s {
    pub(super) fn handle_sasl2(&mut self, negotiation: Negotiation, element: Element) {
        let Some(read) = Sasl2::read(element, DEFAULT_MAX_MESSAGE) else { return self.forbid() };
        let under_way = negotiation.stage.profile();
        let offered = matches!(negotiation.stage, Stage::Offered);
        let tasks = matches!(negotiation.stage, Stage::Upgrading(_));
        if !offered && under_way != Some(ProfileKind::Sasl2) {
            return self.forbid();
        }
        let failure = match read {
            Ok(Sasl2::Authenticate(request)) if offered => {
                return self.authenticate(negotiation, &request);
            }
            Ok(Sasl2::Authenticate(_)) => return self.forbid(),
            Ok(Sasl2::Response(data)) if !offered && !tasks => {
                return self.respond(negotiation, &data);
            }
            Ok(Sasl2::Next(next)) if tasks => return self.start_task(negotiation, &next.task),
            Ok(Sasl2::TaskData(data)) if tasks => return self.finish_task(negotiation, &data),
            Ok(Sasl2::Abort(_)) if !offered => Failure::ABORTED,
            Ok(_) => Failure::new(Condition::MalformedRequest, Reason::OutOfTurn),
            Err(failure) => failure,
        };
        self.fail_login(negotiation, ProfileKind::Sasl2, None, failure);
    }

    fn authenticate(&mut self, negotiation: Negotiation, request: &Authenticate) {
        match Inline::read(request, &negotiation.offer) {
            Ok(inline) => {
                let profile = Profile::Sasl2(Box::new(inline));
                let initial = request.initial_response.as_deref();
                self.start_exchange(negotiation, profile, &request.mechanism, initial);
            }
            Err(failure) => self.fail_login(negotiation, ProfileKind::Sasl2, None, failure),
        }
    }

    /// The client may use the account: tasks come first, then what else it asked for.
    pub(super) fn welcome(
        &mut self,
        negotiation: Negotiation,
        inline: Inline,
        success: Success,
        welcome: Welcome,
    ) {
        let upgrades = welcome.upgrades.into_iter().filter(|hash| inline.upgrades.contains(hash));
        let upgrades = upgrades.collect();
        let invalidated = inline.fast.is_some_and(|fast| fast.invalidate);
        let renewal = Some(success.mechanism).filter(|_| welcome.renews_token && !invalidated);
        let client = inline.client();
        let completion = Completion {
            identity: success.identity,
            data: success.data,
            token: client.zip(inline.token.or(renewal)),
            resume: inline.resume,
            resuming: None,
            bind: inline.bind,
            results: Vec::new(),
        };
        self.start_upgrades(negotiation, completion, upgrades);
    }
}
