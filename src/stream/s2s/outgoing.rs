//! A stream that we open to another server.

use std::collections::VecDeque;
use std::sync::Arc;

use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::stanza::Stanza;
use wello_wire::xml::{Element, StreamEvent};

use super::dialback::{self, Dialback};
use super::{Pair, Settings, Verdict, Verification};
use crate::c2s::read_failure;
use crate::framing::{Framing, Input, Output};
use crate::sasl::encoding;

/// What the driver does next.
#[derive(Debug, PartialEq)]
pub enum OutgoingAction {
    /// Send what is pending, drop what was read and not handled, do the TLS handshake, then call
    /// [`Outgoing::handle_secured`].
    StartTls,
    /// Stanzas may be sent.
    Ready,
    /// The other server does not believe that we are who we say.
    Refused(Refusal),
    /// The answer to [`Outgoing::verify`].
    Verified(Verification, Verdict),
    /// Send what is pending and close the connection. The error is the other server's, or ours.
    Close(Option<StreamError>),
}

/// Why no stanzas may be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// It offers no way of proving who we are that we could take, or it does not offer TLS.
    NoWay(&'static str),
    Dialback(Verdict),
}

/// What may be used on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiable {
    /// We have a certificate to show.
    pub external: bool,
    pub dialback: bool,
}

/// One stream to another server.
pub struct Outgoing {
    settings: Arc<Settings>,
    pair: Pair,
    negotiable: Negotiable,
    input: Input,
    output: Output,
    actions: VecDeque<OutgoingAction>,
    phase: Phase,
    secure: bool,
    /// The other server's name for the stream.
    id: String,
    offered: Negotiable,
    /// There is something to send.
    wanted: bool,
    /// By our certificate.
    proved: bool,
    /// Not asked yet, and asked.
    questions: VecDeque<Verification>,
    asked: Vec<Verification>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Features,
    StartingTls,
    /// Nothing has been proved yet.
    Negotiated,
    External,
    Dialback,
    Ready,
    /// Good for questions alone.
    Refused,
    Closed,
}

impl Outgoing {
    /// `secure`: TLS is up already (XEP-0368).
    pub fn new(
        settings: Arc<Settings>,
        pair: Pair,
        negotiable: Negotiable,
        secure: bool,
    ) -> Outgoing {
        let mut stream = Outgoing {
            input: Input::new(Framing::Stream, settings.limits_before_login),
            output: Output::of_server(ns::SERVER),
            actions: VecDeque::new(),
            phase: Phase::Opening,
            id: String::new(),
            offered: Negotiable::default(),
            wanted: false,
            proved: false,
            questions: VecDeque::new(),
            asked: Vec::new(),
            settings,
            pair,
            negotiable,
            secure,
        };
        stream.open();
        stream
    }

    /// Takes bytes off the front until there is an action to perform or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && self.phase != Phase::Closed {
            match self.input.read(bytes) {
                Ok(Some(event)) => self.handle_event(event),
                Ok(None) => return,
                Err(error) => return self.fail(read_failure(error)),
            }
            if bytes.is_empty() {
                return;
            }
        }
    }

    pub fn poll_action(&mut self) -> Option<OutgoingAction> {
        self.actions.pop_front()
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// What the other server takes as a proof, once that is known and nothing has been tried.
    pub fn offered(&self) -> Option<Negotiable> {
        (self.phase == Phase::Negotiated).then_some(self.offered)
    }

    /// Whether the stream cannot carry stanzas any more, or never will.
    pub fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused | Phase::Closed)
    }

    pub fn release_temporaries(&mut self) {
        self.input.release_temporaries();
        self.actions.shrink_to_fit();
    }

    /// TLS is up: begins again. What is negotiable may depend on the other server's certificate.
    pub fn handle_secured(&mut self, negotiable: Negotiable) {
        self.secure = true;
        self.negotiable = negotiable;
        self.open();
    }

    /// There are stanzas to send: proves who we are, as soon as that can be done.
    pub fn authenticate(&mut self) {
        self.wanted = true;
        if self.phase == Phase::Negotiated {
            self.prove();
        }
    }

    /// Asks the other server about a key that is said to be its own.
    pub fn verify(&mut self, verification: Verification) {
        self.questions.push_back(verification);
        self.ask();
    }

    /// Sends a stanza of the pair; the stream has to be ready.
    pub fn send(&mut self, stanza: &Stanza) {
        self.output.write(|bytes, default_ns| stanza.write(bytes, default_ns));
    }

    /// Keeps the connection, and what lies between, from falling asleep (RFC 6120, section 4.6.1).
    pub fn send_whitespace(&mut self) {
        self.output.write(|bytes, _| bytes.push(b' '));
    }

    pub fn fail(&mut self, error: StreamError) {
        if self.output.is_open() {
            self.output.element(&error.to_element());
        }
        self.close(Some(error));
    }

    /// Ends the stream properly.
    pub fn close(&mut self, error: Option<StreamError>) {
        self.output.footer();
        self.phase = Phase::Closed;
        self.actions.clear();
        self.actions.push_back(OutgoingAction::Close(error));
    }

    fn open(&mut self) {
        self.input.restart();
        self.output.restart();
        self.phase = Phase::Opening;
        let Pair { from, to } = &self.pair;
        let (from, to) = (from.as_str(), to.as_str());
        self.output.header(&[("from", from), ("to", to), ("version", "1.0"), ("xml:lang", "en")]);
    }

    fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(&element),
            StreamEvent::Close => self.close(None),
        }
    }

    fn handle_header(&mut self, header: &Element, default_ns: &str) {
        if header.ns() != ns::STREAM || default_ns != ns::SERVER {
            return self.fail(StreamCondition::InvalidNamespace.into());
        }
        // Who speaks no version speaks no TLS either (RFC 6120, section 4.7.5).
        if header.attr("version").is_none() {
            return self.fail(StreamCondition::UnsupportedVersion.into());
        }
        // An empty id would make the same key of every stream; an error may follow, so it is not refused.
        self.id = header.attr("id").unwrap_or_default().to_owned();
        self.phase = Phase::Features;
    }

    fn handle_element(&mut self, element: &Element) {
        match (element.name(), element.ns()) {
            ("error", ns::STREAM) => self.close(Some(StreamError::from_element(element))),
            ("features", ns::STREAM) if self.phase == Phase::Features => {
                self.handle_features(element);
            }
            ("proceed", ns::TLS) if self.phase == Phase::StartingTls => {
                self.actions.push_back(OutgoingAction::StartTls);
            }
            ("failure", ns::TLS) if self.phase == Phase::StartingTls => {
                self.refuse(Refusal::NoWay("it could not begin TLS"));
            }
            (_, ns::SASL) if self.phase == Phase::External => self.handle_sasl(element.name()),
            (_, ns::DIALBACK) => self.handle_dialback(element),
            // Stanzas come on the streams that the other server opens.
            _ => self.fail(StreamCondition::NotAuthorized.into()),
        }
    }

    fn handle_features(&mut self, features: &Element) {
        if !self.secure {
            if features.child("starttls", ns::TLS).is_none() {
                return self.refuse(Refusal::NoWay("it does not offer TLS"));
            }
            self.phase = Phase::StartingTls;
            return self.output.element(&Element::new("starttls", ns::TLS));
        }
        if self.proved {
            return self.become_ready();
        }
        let mechanisms = features.child("mechanisms", ns::SASL);
        let external = |list: &Element| list.children().any(|one| one.text().trim() == "EXTERNAL");
        self.offered = Negotiable {
            external: mechanisms.is_some_and(external),
            dialback: features.child("dialback", ns::DIALBACK_FEATURE).is_some(),
        };
        self.phase = Phase::Negotiated;
        match self.wanted {
            true => self.prove(),
            false => self.ask(),
        }
    }

    fn prove(&mut self) {
        let both = Negotiable {
            external: self.negotiable.external && self.offered.external,
            dialback: self.negotiable.dialback && self.offered.dialback,
        };
        if both.external {
            self.phase = Phase::External;
            // Not "=": RFC 6120 wants an identity that differs from the stream's alone, but the server
            // software of before 2010 wants one in any case.
            let identity = encoding::encode(self.pair.from.as_str().as_bytes());
            let auth = Element::new("auth", ns::SASL).with_attr("mechanism", "EXTERNAL");
            return self.output.element(&auth.with_text(identity));
        }
        if both.dialback && !self.id.is_empty() {
            self.phase = Phase::Dialback;
            let key = self.settings.secret.key(&self.pair, &self.id);
            self.output.element(&dialback::claim(&self.pair, key));
            return self.ask();
        }
        self.refuse(Refusal::NoWay(match (self.offered.external, self.offered.dialback) {
            (true, true) => "its certificate is not good for its domain",
            (true, false) => "it takes nobody without a certificate",
            (false, true) => "its certificate is not good for its domain, nor does it take ours",
            (false, false) => "it offers no way of logging in",
        }));
    }

    fn handle_sasl(&mut self, name: &str) {
        match name {
            "success" => {
                self.proved = true;
                self.open();
            }
            "failure" => {
                // XEP-0178, section 3, item 12: dialback may still do.
                self.offered.external = false;
                self.phase = Phase::Negotiated;
                self.prove();
            }
            // EXTERNAL has no challenges when it begins with a response.
            _ => self.output.element(&Element::new("abort", ns::SASL)),
        }
    }

    fn become_ready(&mut self) {
        self.phase = Phase::Ready;
        self.actions.push_back(OutgoingAction::Ready);
        self.ask();
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.phase = Phase::Refused;
        self.actions.push_back(OutgoingAction::Refused(refusal));
        self.ask();
    }

    /// Asks what there is to ask, where that disturbs nothing.
    fn ask(&mut self) {
        let can_ask = match self.phase {
            Phase::Negotiated | Phase::Dialback | Phase::Ready => true,
            Phase::Refused => self.secure && !self.id.is_empty(),
            _ => false,
        };
        if !can_ask {
            return;
        }
        for question in self.questions.drain(..) {
            self.output.element(&dialback::question(&question));
            self.asked.push(question);
        }
    }

    fn handle_dialback(&mut self, element: &Element) {
        let Some(Dialback { is_verify, from, to, id, verdict: Some(verdict), .. }) =
            Dialback::parse(element)
        else {
            return self.fail(StreamCondition::NotAuthorized.into());
        };
        if is_verify {
            // Only what was asked on this stream is answered there (XEP-0220, section 3.1).
            let is_answer = |asked: &Verification| {
                asked.pair.from == from && asked.pair.to == to && Some(&asked.stream) == id.as_ref()
            };
            let Some(place) = self.asked.iter().position(is_answer) else { return };
            let asked = self.asked.swap_remove(place);
            self.actions.push_back(OutgoingAction::Verified(asked, verdict));
            return;
        }
        if self.phase != Phase::Dialback || from != self.pair.to || to != self.pair.from {
            return;
        }
        match verdict {
            Verdict::Valid => self.become_ready(),
            other => self.refuse(Refusal::Dialback(other)),
        }
    }
}
