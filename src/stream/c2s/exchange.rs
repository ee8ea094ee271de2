//! What both profiles of SASL have in common: from the client's choice of a mechanism to an
//! identity or a failure.

use std::sync::Arc;

use wello_wire::error::{StreamCondition, StreamError};

use super::negotiation::{Attempt, Negotiation, Profile, ProfileKind, Stage};
use super::{Action, C2s, Login, TokenUse, Welcome};
use crate::nonza::{AuthFailure, Sasl1, Sasl2};
use crate::sasl::{
    Answer, BearerHints, Condition, Context, DEFAULT_MAX_MESSAGE, Exchange, Failure, Mechanism,
    Offer, Reason, Step, Success,
};

/// Failed logins before the stream is closed (RFC 6120, section 6.4.5: between 2 and 5).
const MAX_FAILURES: u8 = 5;

impl C2s {
    pub(super) fn start_exchange(
        &mut self,
        mut negotiation: Negotiation,
        profile: Profile,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) {
        if negotiation.continued {
            return self.forbid();
        }
        let kind = profile.kind();
        if !self.channel.secure {
            let reason = Reason::MechanismNotOffered;
            let failure = Failure::new(Condition::EncryptionRequired, reason);
            return self.fail_login(negotiation, kind, None, failure);
        }
        let mechanism = match select(&negotiation.offer, &profile, mechanism) {
            Ok(mechanism) => mechanism,
            Err(failure) => return self.fail_login(negotiation, kind, None, failure),
        };
        let context = self.sasl_context(&negotiation, kind);
        let (exchange, step) = Exchange::start(mechanism, initial, context);
        let attempt = Attempt { mechanism, profile };
        negotiation.stage = Stage::Exchange(attempt, Box::new(exchange));
        self.take_step(negotiation, step);
    }

    fn sasl_context(&self, negotiation: &Negotiation, kind: ProfileKind) -> Context {
        Context {
            domain: negotiation.host.clone(),
            // A rule of XEP-0388; clients of the old profile send all kinds of addresses.
            claimed: self.claimed.clone().filter(|_| kind == ProfileKind::Sasl2),
            offer: Arc::clone(&negotiation.offer),
            bindings: self.channel.bindings.clone(),
            fakes: self.settings.fakes.clone(),
            downgrade_protection: true,
            bearer: BearerHints::default(),
            max_message: DEFAULT_MAX_MESSAGE,
        }
    }

    /// The client has answered the challenge.
    pub(super) fn respond(&mut self, mut negotiation: Negotiation, data: &[u8]) {
        let step = match &mut negotiation.stage {
            Stage::Exchange(_, exchange) => exchange.handle_response(data),
            _ => Step::Failed(Failure::UNAVAILABLE),
        };
        self.take_step(negotiation, step);
    }

    /// The driver has answered the question.
    pub(super) fn continue_exchange(&mut self, mut negotiation: Negotiation, answer: Answer) {
        let step = match &mut negotiation.stage {
            Stage::Exchange(_, exchange) => exchange.handle_answer(answer),
            _ => Step::Failed(Failure::UNAVAILABLE),
        };
        self.take_step(negotiation, step);
    }

    fn take_step(&mut self, mut negotiation: Negotiation, step: Step) {
        let stage = std::mem::replace(&mut negotiation.stage, Stage::Offered);
        let Stage::Exchange(attempt, exchange) = stage else {
            negotiation.stage = stage;
            return self.wait(negotiation);
        };
        match step {
            Step::Challenge(data) => self.output.element(&match attempt.kind() {
                ProfileKind::Sasl1 => Sasl1::Challenge(data).write(),
                ProfileKind::Sasl2 => Sasl2::Challenge(data).write(),
            }),
            Step::Lookup(lookup) => {
                let client = attempt.client();
                self.actions.push_back(Action::Lookup { lookup, client });
            }
            Step::Done(success) => return self.prove(negotiation, attempt, success),
            Step::Failed(failure) => {
                let mechanism = Some(attempt.mechanism);
                return self.fail_login(negotiation, attempt.kind(), mechanism, failure);
            }
        }
        negotiation.stage = Stage::Exchange(attempt, exchange);
        self.wait(negotiation);
    }

    fn prove(&mut self, mut negotiation: Negotiation, attempt: Attempt, success: Success) {
        // Tokens and certificates name an account themselves, which may be one of another host.
        if success.identity.domain() != negotiation.host.domain() {
            let failure = Failure::new(Condition::NotAuthorized, Reason::ForeignAuthzid);
            let mechanism = Some(attempt.mechanism);
            return self.fail_login(negotiation, attempt.kind(), mechanism, failure);
        }
        let mut login = Login {
            identity: success.identity.clone(),
            mechanism: success.mechanism,
            user_agent: None,
            tag: None,
            token: None,
            upgrades: Vec::new(),
        };
        if let Profile::Sasl2(inline) = &attempt.profile {
            login.user_agent.clone_from(&inline.user_agent);
            login.tag = inline.bind.as_ref().and_then(|bind| bind.tag.clone());
            login.upgrades.clone_from(&inline.upgrades);
            login.token = success.token.map(|index| {
                let fast = inline.fast.unwrap_or_default();
                TokenUse { index, count: fast.count, invalidate: fast.invalidate }
            });
        }
        self.actions.push_back(Action::Login(login));
        negotiation.stage = Stage::Proved(attempt, success);
        self.wait(negotiation);
    }

    /// The driver says whether the account may be used.
    pub(super) fn finish_login(
        &mut self,
        mut negotiation: Negotiation,
        answer: Result<Welcome, Failure>,
    ) {
        let stage = std::mem::replace(&mut negotiation.stage, Stage::Offered);
        let Stage::Proved(attempt, success) = stage else {
            negotiation.stage = stage;
            return self.wait(negotiation);
        };
        match (answer, attempt.profile) {
            (Ok(_), Profile::Sasl1) => self.restart_authenticated(success),
            (Ok(welcome), Profile::Sasl2(inline)) => {
                self.welcome(negotiation, *inline, success, welcome);
            }
            (Err(failure), profile) => {
                let mechanism = Some(attempt.mechanism);
                self.fail_login(negotiation, profile.kind(), mechanism, failure);
            }
        }
    }

    /// Refuses a login; the client may try again for a while.
    pub(super) fn fail_login(
        &mut self,
        mut negotiation: Negotiation,
        kind: ProfileKind,
        mechanism: Option<Mechanism>,
        failure: Failure,
    ) {
        let refusal = AuthFailure::from(failure);
        self.output.element(&match kind {
            ProfileKind::Sasl1 => Sasl1::Failure(refusal).write(),
            ProfileKind::Sasl2 => Sasl2::Failure(refusal).write(),
        });
        negotiation.failures += 1;
        if negotiation.failures >= MAX_FAILURES {
            self.fail(&StreamError::new(StreamCondition::PolicyViolation));
        } else {
            negotiation.stage = Stage::Offered;
            self.wait(negotiation);
        }
        // Before the stream is closed, or nobody would count it.
        self.actions.push_front(Action::LoginFailed { failure, mechanism });
    }
}

/// The mechanism of that name, if it was offered in this profile.
fn select(offer: &Offer, profile: &Profile, name: &str) -> Result<Mechanism, Failure> {
    let mechanism = offer.select(name)?;
    match profile {
        Profile::Sasl1 if mechanism.is_fast() => {
            Err(Failure::new(Condition::InvalidMechanism, Reason::MechanismNotOffered))
        }
        // XEP-0484, section 3.4 and "Client responsibilities".
        Profile::Sasl2(inline)
            if mechanism.is_fast() && (inline.fast.is_none() || inline.client().is_none()) =>
        {
            Err(Failure::new(Condition::MalformedRequest, Reason::Syntax))
        }
        _ => Ok(mechanism),
    }
}
