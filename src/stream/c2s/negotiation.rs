//! From the features to a bound resource: STARTTLS, SASL, resource binding, resumption
//! (RFC 6120, sections 5 to 7; XEP-0198, section 5).

use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::{IqType, Kind, Stanza};
use wello_wire::xml::Element;

use super::established::failed;
use super::settings::RegistrationOffer;
use super::{
    Action, BindRequest, Bound, C2s, Established, Login, Phase, ResourceWish, ResumeRequest,
    Resumed, Welcome,
};
use crate::sasl::{
    Answer, BearerHints, Condition, Context, DEFAULT_MAX_MESSAGE, Exchange, Failure, Offer, Reason,
    Step, Success, encoding,
};

/// Who the client is, once SASL said so.
#[derive(Clone, Debug)]
pub(super) struct Authenticated {
    pub(super) identity: BareJid,
}

/// The stream between its features and its session.
pub(super) struct Negotiation {
    pub(super) host: BareJid,
    pub(super) stage: Stage,
    pub(super) offer: Offer,
    failures: u8,
}

pub(super) enum Stage {
    /// Features are sent, nobody is logged in.
    Offered,
    /// An authentication is under way.
    Exchange(Box<Exchange>),
    /// Proved, and the driver is asked whether the account may be used.
    Proved(Success),
    /// Logged in; waits for a resource or a resumption.
    Authenticated(BareJid),
    /// The driver binds; the id of the request.
    Binding(BareJid, Stanza),
    /// The driver looks for the session; the count that the client claims to have handled.
    Resuming(BareJid, u32),
}

/// Failed logins before the stream is closed (RFC 6120, section 6.4.5: between 2 and 5).
const MAX_FAILURES: u8 = 5;

impl Negotiation {
    pub(super) fn new(host: BareJid, authenticated: Option<Authenticated>) -> Negotiation {
        let stage = match authenticated {
            Some(authenticated) => Stage::Authenticated(authenticated.identity),
            None => Stage::Offered,
        };
        Negotiation { host, stage, offer: Offer::default(), failures: 0 }
    }
}

impl C2s {
    /// Sends the features that fit what has been reached.
    pub(super) fn offer(&mut self, mut negotiation: Negotiation) {
        let mut features = Element::new("features", ns::STREAM);
        match negotiation.stage {
            Stage::Authenticated(_) => {
                features.push(Element::new("bind", ns::BIND));
                let optional = Element::new("optional", ns::SESSION);
                features.push(Element::new("session", ns::SESSION).with_child(optional));
                features.push(Element::new("sm", ns::SM));
                features.push(Element::new("csi", ns::CSI));
                features.push(Element::new("ver", ns::ROSTER_VERSIONING));
                features.push(Element::new("sub", ns::SUBSCRIPTION_PRE_APPROVAL));
            }
            _ if !self.secure => {
                let required = Element::new("required", ns::TLS);
                features.push(Element::new("starttls", ns::TLS).with_child(required));
            }
            _ => self.offer_login(&mut negotiation, &mut features),
        }
        features.push(self.limits_feature(&negotiation));
        self.output.element(&features);
        self.phase = Phase::Negotiating(Box::new(negotiation));
    }

    fn offer_login(&self, negotiation: &mut Negotiation, features: &mut Element) {
        let Some(host) = self.settings.hosts.get(negotiation.host.domain()) else { return };
        negotiation.offer = Offer::new(&host.mechanisms, &self.bindings);
        let offer = &negotiation.offer;
        let mechanisms = offer
            .mechanisms
            .iter()
            .map(|mechanism| Element::new("mechanism", ns::SASL).with_text(mechanism.name()));
        features.push(Element::new("mechanisms", ns::SASL).with_children(mechanisms));
        if !offer.bindings.is_empty() {
            let types = offer.bindings.iter().map(|binding| {
                Element::new("channel-binding", ns::SASL_CHANNEL_BINDING)
                    .with_attr("type", binding.name())
            });
            let feature = Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING);
            features.push(feature.with_children(types));
        }
        match host.registration {
            RegistrationOffer::Closed => {}
            RegistrationOffer::Invite => {
                features.push(Element::new("register", ns::IBR_TOKEN));
            }
            RegistrationOffer::Open => {
                features.push(Element::new("register", ns::REGISTER_FEATURE));
                features.push(Element::new("register", ns::IBR_TOKEN));
            }
        }
    }

    /// XEP-0478, with the limits that are in force.
    fn limits_feature(&self, negotiation: &Negotiation) -> Element {
        let limits = match negotiation.stage {
            Stage::Authenticated(_) => &self.settings.limits,
            _ => &self.settings.limits_before_login,
        };
        let number =
            |name: &str, value: String| Element::new(name, ns::STREAM_LIMITS).with_text(value);
        Element::new("limits", ns::STREAM_LIMITS)
            .with_child(number("max-bytes", limits.stanza_bytes.to_string()))
            .with_child(number("idle-seconds", self.settings.idle.as_secs().to_string()))
    }

    pub(super) fn negotiate(&mut self, negotiation: Negotiation, element: Element) {
        match (element.name(), element.ns()) {
            ("starttls", ns::TLS) => self.start_tls(negotiation),
            ("auth", ns::SASL) => self.start_exchange(negotiation, &element),
            ("response" | "abort", ns::SASL) => self.handle_response(negotiation, &element),
            ("resume", ns::SM) => self.start_resume(negotiation, &element),
            ("iq", ns::CLIENT) => self.handle_early_iq(negotiation, element),
            ("enable" | "r" | "a", ns::SM) => {
                self.output.element(&failed("unexpected-request"));
                self.phase = Phase::Negotiating(Box::new(negotiation));
            }
            // RFC 6120, section 4.9.3.12: a stanza before login.
            ("message" | "presence", ns::CLIENT) => {
                self.fail(StreamError::new(StreamCondition::NotAuthorized));
            }
            _ => self.fail(StreamError::new(StreamCondition::UnsupportedStanzaType)),
        }
    }

    fn start_tls(&mut self, negotiation: Negotiation) {
        if self.secure || !matches!(negotiation.stage, Stage::Offered) {
            self.output.element(&Element::new("failure", ns::TLS));
            return self.close(false);
        }
        self.output.element(&Element::new("proceed", ns::TLS));
        self.phase = Phase::Negotiating(Box::new(negotiation));
        self.actions.push_back(Action::StartTls);
    }

    fn start_exchange(&mut self, mut negotiation: Negotiation, auth: &Element) {
        // RFC 6120, section 6.4.2: a new attempt discards the one under way.
        if !matches!(negotiation.stage, Stage::Offered | Stage::Exchange(_)) {
            return self.fail(StreamError::new(StreamCondition::NotAuthorized));
        }
        if !self.secure {
            let failure = Failure {
                condition: Condition::EncryptionRequired,
                reason: Reason::MechanismNotOffered,
            };
            return self.sasl_failed(negotiation, failure);
        }
        let mechanism = negotiation.offer.select(auth.attr("mechanism").unwrap_or_default());
        let initial = encoding::decode_initial(&auth.text(), DEFAULT_MAX_MESSAGE);
        let (mechanism, initial) = match (mechanism, initial) {
            (Ok(mechanism), Ok(initial)) => (mechanism, initial),
            (Err(failure), _) | (_, Err(failure)) => {
                return self.sasl_failed(negotiation, failure);
            }
        };
        let context = self.sasl_context(&negotiation, None);
        let (exchange, step) = Exchange::start(mechanism, initial.as_deref(), context);
        negotiation.stage = Stage::Exchange(Box::new(exchange));
        self.step(negotiation, step);
    }

    pub(super) fn sasl_context(
        &self,
        negotiation: &Negotiation,
        claimed: Option<BareJid>,
    ) -> Context {
        Context {
            domain: negotiation.host.clone(),
            claimed,
            offer: negotiation.offer.clone(),
            bindings: self.bindings.clone(),
            fakes: self.settings.fakes.clone(),
            downgrade_protection: true,
            bearer: BearerHints::default(),
            max_message: DEFAULT_MAX_MESSAGE,
        }
    }

    fn handle_response(&mut self, mut negotiation: Negotiation, element: &Element) {
        let Stage::Exchange(mut exchange) =
            std::mem::replace(&mut negotiation.stage, Stage::Offered)
        else {
            let failure =
                Failure { condition: Condition::MalformedRequest, reason: Reason::OutOfTurn };
            return self.sasl_failed(negotiation, failure);
        };
        if element.name() == "abort" {
            let failure = Failure { condition: Condition::Aborted, reason: Reason::Aborted };
            return self.sasl_failed(negotiation, failure);
        }
        let step = match encoding::decode(&element.text(), DEFAULT_MAX_MESSAGE) {
            Ok(message) => exchange.handle_response(&message),
            Err(failure) => Step::Failed(failure),
        };
        negotiation.stage = Stage::Exchange(exchange);
        self.step(negotiation, step);
    }

    pub(super) fn continue_exchange(&mut self, mut negotiation: Negotiation, answer: Answer) {
        let step = match &mut negotiation.stage {
            Stage::Exchange(exchange) => exchange.handle_answer(answer),
            _ => Step::Failed(Failure::UNAVAILABLE),
        };
        self.step(negotiation, step);
    }

    fn step(&mut self, mut negotiation: Negotiation, step: Step) {
        match step {
            Step::Challenge(data) => {
                let text = encoding::encode(&data);
                self.output.element(&Element::new("challenge", ns::SASL).with_text(text));
            }
            Step::Lookup(lookup) => self.actions.push_back(Action::Lookup(lookup)),
            Step::Done(success) => {
                self.actions.push_back(Action::Login(Login {
                    identity: success.identity.clone(),
                    mechanism: success.mechanism,
                    user_agent: None,
                    wants_token: None,
                    invalidates_token: false,
                    token_count: None,
                    token_used: success.token,
                }));
                negotiation.stage = Stage::Proved(success);
            }
            Step::Failed(failure) => return self.sasl_failed(negotiation, failure),
        }
        self.phase = Phase::Negotiating(Box::new(negotiation));
    }

    fn sasl_failed(&mut self, mut negotiation: Negotiation, failure: Failure) {
        let condition = Element::new(failure.condition.name(), ns::SASL);
        self.output.element(&Element::new("failure", ns::SASL).with_child(condition));
        self.actions.push_back(Action::LoginFailed(failure));
        negotiation.failures += 1;
        if negotiation.failures >= MAX_FAILURES {
            return self.fail(StreamError::new(StreamCondition::PolicyViolation));
        }
        negotiation.stage = Stage::Offered;
        self.phase = Phase::Negotiating(Box::new(negotiation));
    }

    pub(super) fn finish_login(
        &mut self,
        mut negotiation: Negotiation,
        answer: Result<Welcome, Failure>,
    ) {
        let Stage::Proved(success) = std::mem::replace(&mut negotiation.stage, Stage::Offered)
        else {
            return;
        };
        if let Err(failure) = answer {
            return self.sasl_failed(negotiation, failure);
        }
        let data = success.data.as_ref().map(|data| encoding::encode_success(Some(data)));
        self.output.element(&Element::new("success", ns::SASL).with_text(data.unwrap_or_default()));
        self.input.set_limits(self.settings.limits);
        self.input.restart();
        self.output.restart();
        self.phase = Phase::Opening(Some(Authenticated { identity: success.identity }));
    }

    fn start_resume(&mut self, mut negotiation: Negotiation, element: &Element) {
        let Stage::Authenticated(identity) = negotiation.stage else {
            self.output.element(&failed("unexpected-request"));
            self.phase = Phase::Negotiating(Box::new(negotiation));
            return;
        };
        let h = element.attr("h").and_then(|h| h.parse().ok());
        let (Some(id), Some(h)) = (element.attr("previd"), h) else {
            return self.fail(StreamError::new(StreamCondition::BadFormat));
        };
        let request = ResumeRequest { identity: identity.clone(), id: id.to_owned(), h };
        negotiation.stage = Stage::Resuming(identity, h);
        self.actions.push_back(Action::Resume(request));
        self.phase = Phase::Negotiating(Box::new(negotiation));
    }

    pub(super) fn finish_resume(&mut self, mut negotiation: Negotiation, answer: Option<Resumed>) {
        let Stage::Resuming(identity, h) = negotiation.stage else { return };
        let Some(Resumed { jid, mut management }) = answer else {
            self.output.element(&failed("item-not-found"));
            negotiation.stage = Stage::Authenticated(identity);
            self.phase = Phase::Negotiating(Box::new(negotiation));
            return;
        };
        if let Err(error) = management.handle_acknowledgement(h) {
            self.phase = Phase::Established(Box::new(Established::new(jid, Some(management))));
            return self.fail_too_high(error);
        }
        let resumed = Element::new("resumed", ns::SM)
            .with_attr("previd", management.id())
            .with_attr("h", management.handled().to_string());
        self.output.element(&resumed);
        self.resend(&management);
        self.phase = Phase::Established(Box::new(Established::new(jid, Some(management))));
    }

    fn handle_early_iq(&mut self, mut negotiation: Negotiation, element: Element) {
        let Ok(iq) = Stanza::from_element(element) else {
            return self.fail(StreamError::new(StreamCondition::BadFormat));
        };
        let bind = iq.child("bind", ns::BIND);
        match (&negotiation.stage, bind) {
            (Stage::Authenticated(identity), Some(bind)) if iq.iq_type() == Some(IqType::Set) => {
                let wish = bind.child("resource", ns::BIND).map(|wish| wish.text().into_owned());
                let resource = match wish {
                    Some(wish) if !wish.is_empty() => ResourceWish::Exactly(wish),
                    _ => ResourceWish::Any,
                };
                let identity = identity.clone();
                self.actions.push_back(Action::Bind(BindRequest {
                    identity: identity.clone(),
                    resource,
                    inline: Vec::new(),
                    bind2: false,
                }));
                negotiation.stage = Stage::Binding(identity, iq);
                self.phase = Phase::Negotiating(Box::new(negotiation));
            }
            (Stage::Offered, _) if is_registration(&iq) => {
                let host = negotiation.host.clone();
                self.actions.push_back(Action::Register { host, iq });
                self.phase = Phase::Negotiating(Box::new(negotiation));
            }
            // RFC 6120, section 7.1: nothing may be sent before a resource is bound.
            _ => self.fail(StreamError::new(StreamCondition::NotAuthorized)),
        }
    }

    pub(super) fn finish_bind(
        &mut self,
        mut negotiation: Negotiation,
        answer: Result<Bound, StanzaError>,
    ) {
        let Stage::Binding(identity, iq) = negotiation.stage else { return };
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
                self.phase = Phase::Negotiating(Box::new(negotiation));
            }
        }
    }
}

/// XEP-0077 and XEP-0445, which work before login.
fn is_registration(iq: &Stanza) -> bool {
    iq.kind == Kind::Iq
        && iq.children().any(|child| {
            child.is("query", ns::REGISTER) || matches!(child.ns(), ns::PARS | ns::IBR_TOKEN)
        })
}
