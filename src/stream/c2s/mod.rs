//! A client's stream, from its header to its end, without I/O and without a clock.
//!
//! The driver feeds [`C2s::handle_bytes`], then performs each [`Action`] in turn and answers those
//! that ask for an answer before it feeds more; what is to be written collects in
//! [`C2s::output`].

mod bind;
mod completion;
mod established;
mod exchange;
mod features;
mod header;
mod negotiation;
mod sasl1;
mod sasl2;
mod settings;
#[cfg(test)]
mod tests;
mod upgrades;

use std::collections::VecDeque;
use std::sync::Arc;

use compact_str::CompactString;
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::stanza::Stanza;
use wello_wire::xml::{Element, ReadError, StreamEvent};

use crate::framing::{Framing, Input, Output};
use crate::nonza::{Token, UserAgent, UserAgentId};
use crate::sasl::{Answer, ChannelBindings, Failure, Lookup, Mechanism, ScramHash, ScramKeys};
use crate::sm::StreamManagement;

pub use established::Established;
pub use features::FeatureCache;
use negotiation::{Authenticated, Negotiation};
pub use settings::{HostSettings, RegistrationOffer, Settings};

/// What the driver does next.
#[derive(Debug)]
pub enum Action {
    /// Send what is pending, drop what was read and not handled, do the TLS handshake, then call
    /// [`C2s::handle_secured`].
    StartTls,
    /// Find out, then call [`C2s::handle_lookup`]. `client` is the id of its user agent.
    Lookup {
        lookup: Lookup,
        client: Option<UserAgentId>,
    },
    /// The client has proved who it is. Call [`C2s::handle_login`].
    Login(Login),
    /// For the count of failures; nothing to answer.
    LoginFailed {
        failure: Failure,
        mechanism: Option<Mechanism>,
    },
    /// Add keys that the client has computed (XEP-0480), then call [`C2s::handle_keys_stored`].
    StoreKeys {
        identity: BareJid,
        keys: ScramKeys,
    },
    /// Make a token (XEP-0484), then call [`C2s::handle_token`].
    IssueToken {
        identity: BareJid,
        client: UserAgentId,
        mechanism: Mechanism,
    },
    /// Bind a resource, then call [`C2s::handle_bound`].
    Bind(BindRequest),
    /// Find the session and take its state over, then call [`C2s::handle_resumed`].
    Resume(ResumeRequest),
    /// A request that is allowed before login (XEP-0077, XEP-0445): answer with
    /// [`C2s::send_element`].
    Register {
        host: BareJid,
        iq: Stanza,
    },
    Stanza(Stanza),
    /// The client enabled stream management: it can be found by this id from now on.
    Managed {
        id: CompactString,
    },
    /// The client asks what was handled: call [`C2s::acknowledge`] once that is durable.
    Acknowledge,
    /// The client says that it is looked at, or that it is not (XEP-0352).
    ClientState {
        active: bool,
    },
    /// Send what is pending and close the connection.
    Close {
        clean: bool,
    },
}

/// A successful authentication.
#[derive(Clone, Debug)]
pub struct Login {
    pub identity: BareJid,
    pub mechanism: Mechanism,
    pub user_agent: Option<UserAgent>,
    /// What it calls itself in its resource (XEP-0386).
    pub tag: Option<String>,
    /// The token by which the client came in, if it did (XEP-0484).
    pub token: Option<TokenUse>,
    /// The hashes that the client would compute keys for (XEP-0480).
    pub upgrades: Vec<ScramHash>,
}

/// How a token was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// Which of the tokens in [`Answer::FastTokens`].
    pub index: usize,
    /// The count of its uses (XEP-0484, section 3.4).
    pub count: Option<u64>,
    /// The client gives it up.
    pub invalidate: bool,
}

/// What the driver says to a [`Login`].
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    /// Of the upgrades that the client would do, those that the account lacks.
    pub upgrades: Vec<ScramHash>,
    /// The token that was used is to be replaced.
    pub renews_token: bool,
}

/// What the transport has brought about.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// Confidential, be it by TLS here or in a proxy that we trust.
    pub secure: bool,
    pub bindings: ChannelBindings,
    /// The client showed a certificate that is good for a login (SASL EXTERNAL).
    pub certificate: bool,
}

/// What the client wants to be called, and in which way.
#[derive(Clone, Debug)]
pub struct BindRequest {
    pub identity: BareJid,
    pub resource: ResourceWish,
    /// The children of a Bind 2 request (XEP-0386), for features that take part in it.
    pub inline: Vec<Element>,
    pub bind2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceWish {
    /// The server chooses.
    Any,
    /// RFC 6120, section 7.7: as it stands in the request, not yet checked.
    Exactly(String),
    /// XEP-0386: something stable that begins with this tag.
    Tagged(String),
}

/// XEP-0198, section 5.
#[derive(Clone, Debug)]
pub struct ResumeRequest {
    pub identity: BareJid,
    pub id: String,
    pub h: u32,
}

/// A resource was bound.
#[derive(Debug)]
pub struct Bound {
    pub jid: FullJid,
    /// Children for `<bound/>` (XEP-0386).
    pub inline: Vec<Element>,
}

/// A session that the client may go on with.
#[derive(Debug)]
pub struct Resumed {
    pub jid: FullJid,
    pub management: StreamManagement,
}

/// One client's stream.
pub struct C2s {
    settings: Arc<Settings>,
    input: Input,
    output: Output,
    phase: Phase,
    actions: VecDeque<Action>,
    channel: Channel,
    /// The language of the stream, for stanzas that name none.
    lang: Option<CompactString>,
    /// The host in the client's header, if it is served here.
    host: Option<BareJid>,
    /// The address in the client's header.
    claimed: Option<BareJid>,
}

enum Phase {
    /// Waits for the header; with an identity once SASL is over.
    Opening(Option<Authenticated>),
    Negotiating(Box<Negotiation>),
    Established(Box<Established>),
    Closed,
}

impl C2s {
    pub fn new(settings: Arc<Settings>, framing: Framing, channel: Channel) -> C2s {
        C2s {
            input: Input::new(framing, settings.limits_before_login),
            output: Output::new(framing),
            phase: Phase::Opening(None),
            actions: VecDeque::new(),
            channel,
            lang: None,
            host: None,
            claimed: None,
            settings,
        }
    }

    /// Takes bytes off the front until there is an action to perform or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && !matches!(self.phase, Phase::Closed) {
            match self.input.read(bytes) {
                Ok(Some(event)) => self.handle_event(event),
                Ok(None) => return,
                Err(error) => return self.fail(&read_failure(error)),
            }
            if bytes.is_empty() {
                return;
            }
        }
    }

    /// Takes an event that was read elsewhere.
    pub fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(element),
            StreamEvent::Close => self.close(true),
        }
    }

    fn handle_element(&mut self, element: Element) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Negotiating(negotiation) => self.negotiate(*negotiation, element),
            Phase::Established(established) => self.handle_established(established, element),
            // RFC 7395, section 3.3.2: a frame before `<open/>`, or one in another namespace.
            Phase::Opening(_) => {
                self.phase = Phase::Opening(None);
                let condition = match element.name() {
                    "open" => StreamCondition::InvalidNamespace,
                    _ => StreamCondition::BadFormat,
                };
                self.fail(&StreamError::new(condition));
            }
            Phase::Closed => {}
        }
    }

    /// TLS is up: the client begins again.
    pub fn handle_secured(&mut self, channel: Channel) {
        self.channel = channel;
        self.input.restart();
        self.output.restart();
        self.phase = Phase::Opening(None);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Gives scratch memory back when nothing is going on.
    pub fn release_temporaries(&mut self) {
        self.input.release_temporaries();
        self.actions.shrink_to_fit();
    }

    /// The address that the client gave in its header, which nobody has verified.
    pub fn claimed(&self) -> Option<&BareJid> {
        self.claimed.as_ref()
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The state of the bound session.
    pub fn established(&mut self) -> Option<&mut Established> {
        match &mut self.phase {
            Phase::Established(established) => Some(established),
            _ => None,
        }
    }

    /// Ends the stream with an error and takes the state of a bound session out.
    pub fn fail(&mut self, error: &StreamError) {
        if !self.output.is_open() {
            // RFC 6120, section 4.9.1.2: an error needs a stream around it.
            self.send_header();
        }
        self.output.element(&error.to_element());
        self.close(false);
    }

    /// Ends the stream properly. `clean` when the client asked for it.
    pub fn close(&mut self, clean: bool) {
        self.output.footer();
        self.actions.clear();
        if clean && let Phase::Established(established) = &mut self.phase {
            established.forget();
        }
        if !matches!(self.phase, Phase::Established(_)) {
            self.phase = Phase::Closed;
        }
        self.actions.push_back(Action::Close { clean });
    }

    /// Sends something outside stream management.
    pub fn send_element(&mut self, element: &Element) {
        self.output.element(element);
    }

    /// The answer to [`Action::Lookup`].
    pub fn handle_lookup(&mut self, answer: Answer) {
        self.with_negotiation(|this, negotiation| this.continue_exchange(negotiation, answer));
    }

    /// The answer to [`Action::Login`].
    pub fn handle_login(&mut self, answer: Result<Welcome, Failure>) {
        self.with_negotiation(|this, negotiation| this.finish_login(negotiation, answer));
    }

    /// The answer to [`Action::StoreKeys`], whether they could be stored or not.
    pub fn handle_keys_stored(&mut self) {
        self.with_negotiation(C2s::finish_upgrade);
    }

    /// The answer to [`Action::IssueToken`]; `None` when there is none.
    pub fn handle_token(&mut self, token: Option<&Token>) {
        self.with_negotiation(|this, negotiation| this.complete_token(negotiation, token));
    }

    /// The answer to [`Action::Bind`].
    pub fn handle_bound(&mut self, answer: Result<Bound, StanzaError>) {
        self.with_negotiation(|this, negotiation| this.finish_bind(negotiation, answer));
    }

    /// The answer to [`Action::Resume`]; `None` when there is no such session for this client.
    pub fn handle_resumed(&mut self, answer: Option<Resumed>) {
        self.with_negotiation(|this, negotiation| this.finish_resume(negotiation, answer));
    }

    fn with_negotiation(&mut self, act: impl FnOnce(&mut C2s, Negotiation)) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Negotiating(negotiation) => act(self, *negotiation),
            other => self.phase = other,
        }
    }
}

/// RFC 6120, section 4.9.3: which stream error says what was wrong with the XML.
pub(crate) fn read_failure(error: ReadError) -> StreamError {
    let condition = match error {
        ReadError::NotWellFormed(_) => StreamCondition::NotWellFormed,
        ReadError::Restricted(_) => StreamCondition::RestrictedXml,
        ReadError::Encoding => StreamCondition::UnsupportedEncoding,
        ReadError::TextBetweenStanzas => StreamCondition::BadFormat,
        ReadError::TooLarge(_)
        | ReadError::TokenTooLong(_)
        | ReadError::TooDeep(_)
        | ReadError::TooManyAttributes(_)
        | ReadError::TooManyElements(_) => StreamCondition::PolicyViolation,
    };
    StreamError::new(condition).with_text(error.to_string())
}
