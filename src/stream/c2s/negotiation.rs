//! What may happen between the features and a bound resource (RFC 6120, sections 5 to 7).

use std::sync::Arc;

use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::completion::Completion;
use super::sasl2::Inline;
use super::upgrades::Upgrading;
use super::{Action, C2s, Phase};
use crate::nonza::UserAgentId;
use crate::sasl::{Exchange, Mechanism, Offer, Success};
use crate::sm::failed;

/// Who the client is, once SASL said so.
#[derive(Clone, Debug)]
pub(super) struct Authenticated {
    pub(super) identity: BareJid,
}

/// The stream between its features and its session.
pub(super) struct Negotiation {
    pub(super) host: BareJid,
    pub(super) stage: Stage,
    pub(super) offer: Arc<Offer>,
    pub(super) failures: u8,
    /// `<continue/>` was sent, after which there is no other attempt (XEP-0388, "Multiple
    /// Authentication").
    pub(super) continued: bool,
}

pub(super) enum Stage {
    /// Features are sent, nobody is logged in.
    Offered,
    /// An authentication is under way.
    Exchange(Attempt, Box<Exchange>),
    /// Proved, and the driver is asked whether the account may be used.
    Proved(Attempt, Success),
    /// The client does tasks that it asked for (XEP-0480).
    Upgrading(Box<Upgrading>),
    /// The driver does what the client asked for together with its login.
    Completing(Box<Completion>),
    /// Logged in; waits for a resource or a resumption.
    Authenticated(BareJid),
    /// The driver binds; the request.
    Binding(BareJid, Stanza),
    /// The driver looks for the session; the count that the client claims to have handled.
    Resuming(BareJid, u32),
}

/// One authentication.
pub(super) struct Attempt {
    pub(super) mechanism: Mechanism,
    pub(super) profile: Profile,
}

/// How SASL is spoken on the stream.
pub(super) enum Profile {
    /// RFC 6120, section 6.
    Sasl1,
    /// XEP-0388, with what else the client asked for.
    Sasl2(Box<Inline>),
}

/// The same without what the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileKind {
    Sasl1,
    Sasl2,
}

impl Negotiation {
    pub(super) fn new(host: BareJid, authenticated: Option<Authenticated>) -> Negotiation {
        let stage = match authenticated {
            Some(authenticated) => Stage::Authenticated(authenticated.identity),
            None => Stage::Offered,
        };
        Negotiation { host, stage, offer: Arc::default(), failures: 0, continued: false }
    }
}

impl Stage {
    /// Which profile an authentication that is under way uses.
    pub(super) fn profile(&self) -> Option<ProfileKind> {
        match self {
            Stage::Exchange(attempt, _) | Stage::Proved(attempt, _) => Some(attempt.kind()),
            Stage::Upgrading(_) | Stage::Completing(_) => Some(ProfileKind::Sasl2),
            _ => None,
        }
    }
}

impl Profile {
    pub(super) fn kind(&self) -> ProfileKind {
        match self {
            Profile::Sasl1 => ProfileKind::Sasl1,
            Profile::Sasl2(_) => ProfileKind::Sasl2,
        }
    }
}

impl Attempt {
    pub(super) fn kind(&self) -> ProfileKind {
        self.profile.kind()
    }

    pub(super) fn client(&self) -> Option<UserAgentId> {
        match &self.profile {
            Profile::Sasl1 => None,
            Profile::Sasl2(inline) => inline.client(),
        }
    }
}

impl C2s {
    pub(super) fn negotiate(&mut self, negotiation: Negotiation, element: Element) {
        match (element.name(), element.ns()) {
            (_, ns::SASL) => self.handle_sasl1(negotiation, element),
            (_, ns::SASL2) => self.handle_sasl2(negotiation, element),
            // XEP-0388, "During Authentication": whoever sends anything else is disconnected.
            _ if negotiation.stage.profile().is_some() => self.forbid(),
            ("starttls", ns::TLS) => self.start_tls(negotiation),
            ("resume", ns::SM) => self.start_resume(negotiation, &element),
            ("iq", ns::CLIENT) => self.handle_early_iq(negotiation, element),
            ("enable" | "r" | "a", ns::SM) => {
                self.output.element(&failed("unexpected-request"));
                self.phase = Phase::Negotiating(Box::new(negotiation));
            }
            // RFC 6120, section 4.9.3.12: a stanza before login.
            ("message" | "presence", ns::CLIENT) => self.forbid(),
            _ => self.fail(&StreamError::new(StreamCondition::UnsupportedStanzaType)),
        }
    }

    /// Ends the stream because the client does what it may not do yet, or not any more.
    pub(super) fn forbid(&mut self) {
        self.fail(&StreamError::new(StreamCondition::NotAuthorized));
    }

    /// Goes on with the negotiation when the client or the driver says something.
    pub(super) fn wait(&mut self, negotiation: Negotiation) {
        self.phase = Phase::Negotiating(Box::new(negotiation));
    }

    fn start_tls(&mut self, negotiation: Negotiation) {
        if self.channel.secure || !matches!(negotiation.stage, Stage::Offered) {
            self.output.element(&Element::new("failure", ns::TLS));
            return self.close(false);
        }
        self.output.element(&Element::new("proceed", ns::TLS));
        self.wait(negotiation);
        self.actions.push_back(Action::StartTls);
    }
}
