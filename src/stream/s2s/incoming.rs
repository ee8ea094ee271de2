//! A stream that another server has opened to us.

use std::collections::VecDeque;
use std::sync::Arc;

use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::xml::{Element, StreamEvent};

use super::dialback::Dialback;
use super::exchange::{Exchange, Former, Remains};
use super::{Domain, Pair, Settings, Verdict};
use crate::c2s::read_failure;
use crate::framing::Output;
use crate::random::random_id;
use crate::sasl::encoding;
use crate::sm::{Resumption, StreamManagement, enabled, failed, has_resumption, resumed};

/// What the driver does next. What the stream brings comes from [`Incoming::exchange`].
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
    /// The stream may be resumed by this id.
    Managed { id: String, owner: Owner },
    /// Find the former stream of that id and owner and call [`Incoming::handle_resumption`].
    Resume { id: String, owner: Owner },
    /// The other server closes its stream. Acknowledge what it sent, then call [`Incoming::close`].
    Goodbye,
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

/// Who began a stream that can be resumed, and how that was proved. Nobody else may resume it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub pair: Pair,
    pub certified: bool,
}

/// One stream from another server.
pub struct Incoming {
    settings: Arc<Settings>,
    exchange: Exchange,
    actions: VecDeque<IncomingAction>,
    phase: Phase,
    secure: bool,
    id: String,
    /// The domains in the header. The first one is a mere claim.
    peer: Option<Domain>,
    local: Option<Domain>,
    welcome: Welcome,
    /// By its certificate.
    certified: Option<Domain>,
    /// It takes stanzas on this stream, too (XEP-0288).
    bidirectional: bool,
    /// What the other server has handled of the stream that it wants to resume.
    resuming: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    /// The driver decides about the header.
    Deciding,
    Open,
    Closed,
}

/// Bytes of an authorization identity: no domain is longer.
const MAX_IDENTITY: usize = 1023;

impl Incoming {
    /// `secure`: TLS is up already (XEP-0368).
    pub fn new(settings: Arc<Settings>, secure: bool) -> Incoming {
        Incoming {
            exchange: Exchange::new(Arc::clone(&settings)),
            actions: VecDeque::new(),
            phase: Phase::Opening,
            secure,
            id: String::new(),
            peer: None,
            local: None,
            welcome: Welcome::default(),
            certified: None,
            bidirectional: false,
            resuming: None,
            settings,
        }
    }

    /// Takes bytes off the front until there is something for the driver to do or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && !self.exchange.is_waiting() && self.phase != Phase::Closed
        {
            match self.exchange.read(bytes) {
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

    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    pub fn output(&mut self) -> &mut Output {
        self.exchange.output()
    }

    /// Whose stanzas are taken.
    pub fn pairs(&self) -> &[Pair] {
        self.exchange.pairs()
    }

    /// Whether stanzas of pairs that are the other way round may be sent on it.
    pub fn is_bidirectional(&self) -> bool {
        self.bidirectional
    }

    /// Whom the stream claims to be from, for the log.
    pub fn peer(&self) -> Option<&Domain> {
        self.peer.as_ref()
    }

    pub fn release_temporaries(&mut self) {
        self.exchange.release_temporaries();
        self.actions.shrink_to_fit();
    }

    /// What can be saved of it when its connection is gone.
    pub fn take_remains(&mut self) -> Remains {
        self.exchange.take_remains(self.phase != Phase::Closed)
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
                self.output().element(&features);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// The answer to [`Exchanged::Claim`](super::Exchanged::Claim), at any time.
    pub fn handle_verdict(&mut self, pair: &Pair, verdict: &Verdict) {
        if self.phase == Phase::Open {
            let concluded = self.exchange.conclude(pair, verdict);
            self.check(concluded);
        }
    }

    /// The answer to [`IncomingAction::Resume`].
    pub fn handle_resumption(&mut self, former: Option<Former>) {
        let (Some(former), Some(h)) = (former, self.resuming.take()) else {
            return self.output().element(&failed("item-not-found"));
        };
        if let Err(error) = self.exchange.resume(former, h) {
            return self.fail(&error);
        }
        if let Some(answer) = self.exchange.management().map(resumed) {
            self.output().element(&answer);
        }
        self.exchange.resend();
    }

    /// Ends the stream with an error.
    pub fn fail(&mut self, error: &StreamError) {
        if !self.output().is_open() {
            self.send_header();
        }
        self.output().element(&error.to_element());
        self.close();
    }

    pub fn close(&mut self) {
        self.output().footer();
        self.phase = Phase::Closed;
        self.actions.clear();
        self.actions.push_back(IncomingAction::Close);
    }

    fn restart(&mut self) {
        self.exchange.restart();
        self.phase = Phase::Opening;
    }

    fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(element),
            StreamEvent::Close => self.actions.push_back(IncomingAction::Goodbye),
        }
    }

    fn handle_header(&mut self, header: &Element, default_ns: &str) {
        self.id = random_id();
        self.exchange.set_lang(header.lang());
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
        self.exchange.output().header(&attributes);
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
        if self.takes_bidi() {
            features.push(Element::new("bidi", ns::BIDI_FEATURE));
        }
        // After dialback there are no features any more.
        if self.certified.is_some() || self.welcome.dialback {
            features.push(Element::new("sm", ns::SM));
        }
        let max = self.settings.limits.stanza_bytes.to_string();
        let max = Element::new("max-bytes", ns::STREAM_LIMITS).with_text(max);
        features.with_child(Element::new("limits", ns::STREAM_LIMITS).with_child(max))
    }

    fn handle_element(&mut self, element: Element) {
        match (element.name(), element.ns()) {
            _ if self.phase != Phase::Open => {}
            ("starttls", ns::TLS) if !self.secure => {
                self.output().element(&Element::new("proceed", ns::TLS));
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
            // Asked for too late it changes nothing: we use streams of our own, which is always right.
            (_, ns::BIDI) => self.bidirectional |= self.takes_bidi(),
            ("enable", ns::SM) => self.enable(&element),
            ("resume", ns::SM) => self.handle_resume(&element),
            _ => {
                let handled = self.exchange.handle_element(element);
                self.check(handled);
            }
        }
    }

    /// XEP-0288, section 2: before anything is proved.
    fn takes_bidi(&self) -> bool {
        self.settings.bidi && self.pairs().is_empty() && !self.bidirectional
    }

    fn enable(&mut self, enable: &Element) {
        let Some(owner) = self.owner() else {
            return self.output().element(&failed("unexpected-request"));
        };
        let max = self.settings.resumption;
        let resume = has_resumption(enable) && !max.is_zero();
        let id = random_id();
        self.output().element(&enabled(resume.then_some((id.as_str(), max))));
        self.exchange.manage(StreamManagement::new(id.as_str().into(), resume));
        if resume {
            self.actions.push_back(IncomingAction::Managed { id, owner });
        }
    }

    fn handle_resume(&mut self, resume: &Element) {
        let Some(owner) = self.owner() else {
            return self.output().element(&failed("unexpected-request"));
        };
        let Some(Resumption { id, h }) = Resumption::read(resume) else {
            return self.output().element(&failed("bad-request"));
        };
        self.resuming = Some(h);
        self.actions.push_back(IncomingAction::Resume { id, owner });
    }

    /// Whoever may begin stream management: somebody who has proved who he is, once.
    fn owner(&self) -> Option<Owner> {
        let pair = self.pairs().first().filter(|_| !self.exchange.is_managed())?;
        Some(Owner { pair: pair.clone(), certified: self.certified.is_some() })
    }

    fn check(&mut self, outcome: Result<(), StreamError>) {
        if let Err(error) = outcome {
            self.fail(&error);
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
        self.output().element(&Element::new("success", ns::SASL));
        self.certified = Some(peer.clone());
        let pair = Pair { from: peer, to };
        self.restart();
        self.exchange.admit(pair.clone());
        self.actions.push_back(IncomingAction::Authenticated(pair));
    }

    fn refuse_auth(&mut self, condition: &'static str) {
        let condition = Element::new(condition, ns::SASL);
        self.output().element(&Element::new("failure", ns::SASL).with_child(condition));
        let counted = self.exchange.count_refusal();
        self.check(counted);
    }

    fn handle_dialback(&mut self, element: &Element) {
        let handled = match Dialback::parse(element) {
            None => Err(StreamCondition::ImproperAddressing.into()),
            // An answer: nothing was asked on this stream.
            Some(Dialback { verdict: Some(_), .. }) => Ok(()),
            Some(asked) if asked.is_verify => self.exchange.answer_question(asked),
            Some(claim) => {
                let refusal = self.refusal();
                self.exchange.handle_claim(claim, &self.id, refusal)
            }
        };
        self.check(handled);
    }

    /// Why nothing can be proved by dialback.
    fn refusal(&self) -> Option<StanzaError> {
        let reason = match (self.secure, self.welcome.dialback) {
            (false, _) => "TLS is required",
            (true, false) => "a valid certificate is required",
            (true, true) => return None,
        };
        Some(StanzaError::policy_violation(reason))
    }
}
