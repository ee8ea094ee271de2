//! A stream that another server has opened to us.

use std::collections::VecDeque;
use std::sync::Arc;

use compact_str::CompactString;
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::stanza::{Stanza, StanzaParseError};
use wello_wire::xml::{Element, Ns, StreamEvent};

use super::dialback::{self, Dialback};
use super::{Domain, Pair, Settings, Verdict, Verification};
use crate::c2s::read_failure;
use crate::framing::{Framing, Input, Output};
use crate::random::random_id;
use crate::sasl::encoding;

/// What the driver does next.
#[derive(Debug)]
pub enum IncomingAction {
    /// Send what is pending, drop what was read and not handled, do the TLS handshake, then call
    /// [`Incoming::handle_secured`].
    StartTls,
    /// Somebody who may be `from` wants to speak to `to`, which is ours. Call
    /// [`Incoming::handle_welcome`].
    Open { from: Option<Domain>, to: Domain },
    /// The certificate proved it. For the log and for the count of strangers.
    Authenticated(Pair),
    /// Ask the server that the name system knows for `pair.from`, or be satisfied by the certificate;
    /// then call [`Incoming::handle_verdict`].
    Verify(Verification),
    /// Of a pair that has been authenticated, its addresses being there.
    Stanza(Stanza),
    /// Send what is pending and close the connection.
    Close,
}

/// How the other server may prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Welcome {
    /// Its certificate is good for the domain in its header (SASL EXTERNAL, XEP-0178).
    pub external: bool,
    pub dialback: bool,
}

/// One stream from another server.
pub struct Incoming {
    settings: Arc<Settings>,
    input: Input,
    output: Output,
    actions: VecDeque<IncomingAction>,
    phase: Phase,
    secure: bool,
    id: String,
    lang: Option<CompactString>,
    /// The domains in the header. The first one is a mere claim.
    peer: Option<Domain>,
    local: Option<Domain>,
    welcome: Welcome,
    /// By its certificate.
    certified: Option<Domain>,
    pairs: Vec<Pair>,
    /// Claims that are being verified.
    claimed: Vec<Pair>,
    refusals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    /// The driver decides about the header.
    Deciding,
    Open,
    Closed,
}

/// Attempts to log in that may fail.
const MAX_REFUSALS: u32 = 5;
/// Bytes of an authorization identity: no domain is longer.
const MAX_IDENTITY: usize = 1023;

impl Incoming {
    /// `secure`: TLS is up already (XEP-0368).
    pub fn new(settings: Arc<Settings>, secure: bool) -> Incoming {
        Incoming {
            input: Input::new(Framing::Stream, settings.limits_before_login),
            output: Output::of_server(ns::SERVER),
            actions: VecDeque::new(),
            phase: Phase::Opening,
            secure,
            id: String::new(),
            lang: None,
            peer: None,
            local: None,
            welcome: Welcome::default(),
            certified: None,
            pairs: Vec::new(),
            claimed: Vec::new(),
            refusals: 0,
            settings,
        }
    }

    /// Takes bytes off the front until there is an action to perform or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && self.phase != Phase::Closed {
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

    pub fn poll_action(&mut self) -> Option<IncomingAction> {
        self.actions.pop_front()
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whose stanzas are taken.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Whom the stream claims to be from, for the log.
    pub fn peer(&self) -> Option<&Domain> {
        self.peer.as_ref()
    }

    pub fn release_temporaries(&mut self) {
        self.input.release_temporaries();
        self.actions.shrink_to_fit();
    }

    /// TLS is up: the other server begins again.
    pub fn handle_secured(&mut self) {
        self.secure = true;
        self.restart();
    }

    /// The answer to [`IncomingAction::Open`].
    pub fn handle_welcome(&mut self, answer: Result<Welcome, StreamError>) {
        match answer {
            Ok(welcome) => {
                self.welcome = welcome;
                self.phase = Phase::Open;
                self.send_header();
                let features = self.features();
                self.output.element(&features);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// The answer to [`IncomingAction::Verify`], at any time.
    pub fn handle_verdict(&mut self, pair: &Pair, verdict: &Verdict) {
        let Some(place) = self.claimed.iter().position(|claimed| claimed == pair) else { return };
        self.claimed.swap_remove(place);
        if self.phase != Phase::Open {
            return;
        }
        self.output.element(&dialback::result(pair, verdict));
        match verdict {
            Verdict::Valid => self.admit(pair.clone()),
            Verdict::Invalid | Verdict::Unknown(_) => self.count_refusal(),
        }
    }

    /// Ends the stream with an error.
    pub fn fail(&mut self, error: &StreamError) {
        if !self.output.is_open() {
            self.send_header();
        }
        self.output.element(&error.to_element());
        self.close();
    }

    pub fn close(&mut self) {
        self.output.footer();
        self.phase = Phase::Closed;
        self.actions.clear();
        self.actions.push_back(IncomingAction::Close);
    }

    fn restart(&mut self) {
        self.input.restart();
        self.output.restart();
        self.phase = Phase::Opening;
    }

    fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(element),
            StreamEvent::Close => self.close(),
        }
    }

    fn handle_header(&mut self, header: &Element, default_ns: &str) {
        self.id = random_id();
        self.lang = header.lang().map(Into::into);
        match self.check_header(header, default_ns) {
            Ok((from, to)) => {
                self.peer.clone_from(&from);
                self.local = Some(to.clone());
                self.phase = Phase::Deciding;
                self.actions.push_back(IncomingAction::Open { from, to });
            }
            Err(condition) => self.fail(&condition.into()),
        }
    }

    fn check_header(
        &self,
        header: &Element,
        default_ns: &str,
    ) -> Result<(Option<Domain>, Domain), StreamCondition> {
        if header.ns() != ns::STREAM || default_ns != ns::SERVER {
            return Err(StreamCondition::InvalidNamespace);
        }
        if header.name() != "stream" {
            return Err(StreamCondition::BadFormat);
        }
        let major = header.attr("version").and_then(|version| version.split_once('.'));
        if !major.is_some_and(|(major, _)| major.parse::<u32>().is_ok_and(|major| major >= 1)) {
            return Err(StreamCondition::UnsupportedVersion);
        }
        let to = header.attr("to").and_then(Domain::parse);
        let to = to.ok_or(StreamCondition::ImproperAddressing)?;
        if !self.settings.domains.contains(&to) {
            return Err(StreamCondition::HostUnknown);
        }
        let from = match header.attr("from") {
            Some(from) => Some(Domain::parse(from).ok_or(StreamCondition::InvalidFrom)?),
            None => None,
        };
        // Nobody else is one of us.
        if from.as_ref().is_some_and(|from| self.settings.domains.contains(from)) {
            return Err(StreamCondition::InvalidFrom);
        }
        if let Some(certified) = &self.certified {
            let same = from.as_ref().is_none_or(|from| from == certified);
            let same = same && self.local.as_ref() == Some(&to);
            return match same {
                true => Ok((Some(certified.clone()), to)),
                false => Err(StreamCondition::InvalidFrom),
            };
        }
        Ok((from, to))
    }

    fn send_header(&mut self) {
        let mut attributes = Vec::with_capacity(5);
        if let Some(local) = &self.local {
            attributes.push(("from", local.as_str()));
        }
        if let Some(peer) = &self.peer {
            attributes.push(("to", peer.as_str()));
        }
        attributes.extend([("id", self.id.as_str()), ("version", "1.0"), ("xml:lang", "en")]);
        self.output.header(&attributes);
    }

    fn features(&self) -> Element {
        let mut features = Element::new("features", ns::STREAM);
        if !self.secure {
            let required = Element::new("required", ns::TLS);
            return features.with_child(Element::new("starttls", ns::TLS).with_child(required));
        }
        if self.welcome.external && self.certified.is_none() {
            let external = Element::new("mechanism", ns::SASL).with_text("EXTERNAL");
            features.push(Element::new("mechanisms", ns::SASL).with_child(external));
        }
        if self.welcome.dialback {
            // XEP-0220, section 2.4.2: errors are understood.
            let errors = Element::new("errors", ns::DIALBACK_FEATURE);
            features.push(Element::new("dialback", ns::DIALBACK_FEATURE).with_child(errors));
        }
        let max = self.settings.limits.stanza_bytes.to_string();
        let max = Element::new("max-bytes", ns::STREAM_LIMITS).with_text(max);
        features.with_child(Element::new("limits", ns::STREAM_LIMITS).with_child(max))
    }

    fn handle_element(&mut self, element: Element) {
        match (element.name(), element.ns()) {
            _ if self.phase != Phase::Open => {}
            ("starttls", ns::TLS) if !self.secure => {
                self.output.element(&Element::new("proceed", ns::TLS));
                self.actions.push_back(IncomingAction::StartTls);
            }
            (_, ns::DIALBACK) => self.handle_dialback(&element),
            ("error", ns::STREAM) => self.close(),
            _ if !self.secure => {
                let error = StreamError::new(StreamCondition::PolicyViolation);
                self.fail(&error.with_text("TLS is required"));
            }
            ("auth", ns::SASL) => self.handle_auth(&element),
            (_, ns::SASL) => self.refuse_auth("malformed-request"),
            _ => self.handle_stanza(element),
        }
    }

    /// XEP-0178, section 3.
    fn handle_auth(&mut self, auth: &Element) {
        let peer = match &self.peer {
            Some(peer) if self.welcome.external && self.certified.is_none() => peer.clone(),
            _ => return self.refuse_auth("invalid-mechanism"),
        };
        if auth.attr("mechanism") != Some("EXTERNAL") {
            return self.refuse_auth("invalid-mechanism");
        }
        let identity = match encoding::decode_initial(&auth.text(), MAX_IDENTITY) {
            Ok(identity) => identity.unwrap_or_default(),
            Err(_) => return self.refuse_auth("incorrect-encoding"),
        };
        // Empty: the one in the header.
        let identity = match identity.is_empty() {
            true => Some(peer.clone()),
            false => std::str::from_utf8(&identity).ok().and_then(Domain::parse),
        };
        if identity.as_ref() != Some(&peer) {
            return self.refuse_auth("invalid-authzid");
        }
        let Some(to) = self.local.clone() else { return };
        self.output.element(&Element::new("success", ns::SASL));
        self.certified = Some(peer.clone());
        let pair = Pair { from: peer, to };
        self.restart();
        self.admit(pair.clone());
        self.actions.push_back(IncomingAction::Authenticated(pair));
    }

    fn refuse_auth(&mut self, condition: &'static str) {
        let condition = Element::new(condition, ns::SASL);
        self.output.element(&Element::new("failure", ns::SASL).with_child(condition));
        self.count_refusal();
    }

    fn count_refusal(&mut self) {
        self.refusals += 1;
        if self.refusals >= MAX_REFUSALS {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            self.fail(&error.with_text("too many attempts"));
        }
    }

    fn handle_dialback(&mut self, element: &Element) {
        match Dialback::parse(element) {
            None => self.fail(&StreamCondition::ImproperAddressing.into()),
            // An answer: nothing was asked on this stream.
            Some(Dialback { verdict: Some(_), .. }) => {}
            Some(asked) if asked.is_verify => self.answer_question(asked),
            Some(claim) => self.handle_claim(claim),
        }
    }

    /// We are the authoritative server: somebody got a key that is said to be ours.
    fn answer_question(&mut self, asked: Dialback) {
        let Some(stream) = asked.id else {
            return self.fail(&StreamCondition::BadFormat.into());
        };
        let pair = Pair { from: asked.to.clone(), to: asked.from.clone() };
        let verification = Verification { pair, stream, key: asked.key };
        let verdict = match self.settings.domains.contains(&asked.to) {
            false => Verdict::Unknown(StanzaError::item_not_found("")),
            true if self.settings.secret.verifies(&verification) => Verdict::Valid,
            true => Verdict::Invalid,
        };
        let Verification { pair, stream, .. } = verification;
        let answer = dialback::answer(&pair.from, &pair.to, &stream, &verdict);
        self.output.element(&answer);
    }

    /// We are the receiving server: the other one claims to be a domain.
    fn handle_claim(&mut self, claim: Dialback) {
        let pair = Pair { from: claim.from, to: claim.to };
        let refusal = if !self.secure {
            Some(StanzaError::policy_violation("TLS is required"))
        } else if !self.settings.domains.contains(&pair.to) {
            Some(StanzaError::item_not_found("not a domain of this server"))
        } else if self.settings.domains.contains(&pair.from) {
            Some(StanzaError::not_allowed("a domain of this server"))
        } else if !self.welcome.dialback {
            Some(StanzaError::policy_violation("a valid certificate is required"))
        } else if self.pairs.len() + self.claimed.len() >= self.settings.pairs {
            Some(StanzaError::resource_constraint("too many domains on one stream"))
        } else {
            None
        };
        if let Some(error) = refusal {
            self.output.element(&dialback::result(&pair, &Verdict::Unknown(error)));
            return self.count_refusal();
        }
        if self.pairs.contains(&pair) {
            return self.output.element(&dialback::result(&pair, &Verdict::Valid));
        }
        if self.claimed.contains(&pair) {
            return;
        }
        self.claimed.push(pair.clone());
        let (stream, key) = (self.id.clone(), claim.key);
        self.actions.push_back(IncomingAction::Verify(Verification { pair, stream, key }));
    }

    fn admit(&mut self, pair: Pair) {
        self.input.set_limits(self.settings.limits);
        self.pairs.push(pair);
    }

    fn handle_stanza(&mut self, mut element: Element) {
        if element.ns() != ns::SERVER {
            return self.fail(&StreamCondition::UnsupportedStanzaType.into());
        }
        if self.pairs.is_empty() {
            return self.fail(&StreamCondition::NotAuthorized.into());
        }
        element.rename_ns(ns::SERVER, &Ns::from(ns::CLIENT));
        let checked = match Stanza::from_element(element) {
            Ok(stanza) => self.check(stanza),
            Err(StanzaParseError::NotAStanza) => Err(StreamCondition::UnsupportedStanzaType),
            // The other server may go by other rules for addresses. Its users share the stream, and one
            // of them must not be able to end it; nobody could be told by such an address.
            Err(StanzaParseError::BadAddress { .. }) => return,
        };
        match checked {
            Ok(stanza) => self.actions.push_back(IncomingAction::Stanza(stanza)),
            Err(condition) => self.fail(&condition.into()),
        }
    }

    /// RFC 6120, section 8.1.1.2 and 8.1.2.2: both addresses, of a pair that was proved.
    fn check(&self, mut stanza: Stanza) -> Result<Stanza, StreamCondition> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
            return Err(StreamCondition::ImproperAddressing);
        };
        let (from, to) = (from.domain(), to.domain());
        let proved = |pair: &Pair| pair.from.as_str() == from && pair.to.as_str() == to;
        if !self.pairs.iter().any(proved) {
            return Err(StreamCondition::InvalidFrom);
        }
        if stanza.lang.is_none() {
            stanza.lang.clone_from(&self.lang);
        }
        Ok(stanza)
    }
}
