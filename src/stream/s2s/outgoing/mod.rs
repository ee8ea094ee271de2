//! A stream that we open to another server.

mod managing;

use std::collections::VecDeque;
use std::sync::Arc;

use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::xml::{Element, StreamEvent};

use super::dialback::{self, Dialback};
use super::exchange::{Exchange, Former, Remains};
use super::{Pair, Settings, Verdict, Verification};
use crate::c2s::read_failure;
use crate::framing::Output;
use crate::sasl::encoding;

/// What the driver does next. What the stream brings comes from [`Outgoing::exchange`].
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
    /// The other server closes its stream. Acknowledge what it sent, then call [`Outgoing::close`].
    Goodbye,
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
    exchange: Exchange,
    actions: VecDeque<OutgoingAction>,
    phase: Phase,
    secure: bool,
    /// The other server's name for the stream.
    id: String,
    offered: Negotiable,
    /// It may send stanzas on this stream, too (XEP-0288).
    bidirectional: bool,
    /// The other server offers stream management.
    manageable: bool,
    /// A stream that is to be gone on with.
    former: Option<Former>,
    /// There is something to send.
    wanted: bool,
    /// The other server knows who we are, by our certificate or otherwise.
    proved: bool,
    certified: bool,
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
    /// Stream management was asked for.
    Managing,
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
            exchange: Exchange::new(Arc::clone(&settings)),
            actions: VecDeque::new(),
            phase: Phase::Opening,
            id: String::new(),
            offered: Negotiable::default(),
            bidirectional: false,
            manageable: false,
            former: None,
            wanted: false,
            proved: false,
            certified: false,
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

    /// The stream of an earlier connection, to be gone on with if the other server lets us.
    pub fn resume(&mut self, former: Former) {
        self.former = Some(former);
    }

    /// Takes bytes off the front until there is something for the driver to do or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && !self.exchange.is_waiting() && self.phase != Phase::Closed
        {
            match self.exchange.read(bytes) {
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

    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    pub fn output(&mut self) -> &mut Output {
        self.exchange.output()
    }

    /// What can be saved of it when its connection is gone.
    pub fn take_remains(&mut self) -> Remains {
        match self.former.take() {
            // It has not come to that.
            Some(former) => Remains { former: Some(former), unknown: Vec::new() },
            None => self.exchange.take_remains(self.phase != Phase::Closed),
        }
    }

    pub fn is_bidirectional(&self) -> bool {
        self.bidirectional
    }

    /// Whether our certificate has proved who we are.
    pub fn is_certified(&self) -> bool {
        self.certified
    }

    /// Whether there is a stream to be gone on with.
    pub fn is_resuming(&self) -> bool {
        self.former.is_some()
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
        self.exchange.release_temporaries();
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

    pub fn fail(&mut self, error: StreamError) {
        if self.output().is_open() {
            self.output().element(&error.to_element());
        }
        self.close(Some(error));
    }

    /// Ends the stream properly.
    pub fn close(&mut self, error: Option<StreamError>) {
        self.output().footer();
        self.phase = Phase::Closed;
        self.actions.clear();
        self.actions.push_back(OutgoingAction::Close(error));
    }

    fn open(&mut self) {
        self.exchange.restart();
        self.phase = Phase::Opening;
        let Pair { from, to } = &self.pair;
        let (from, to) = (from.as_str(), to.as_str());
        self.exchange.output().header(&[
            ("from", from),
            ("to", to),
            ("version", "1.0"),
            ("xml:lang", "en"),
        ]);
    }

    fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(element),
            StreamEvent::Close => self.actions.push_back(OutgoingAction::Goodbye),
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
        self.exchange.set_lang(header.lang());
        self.phase = Phase::Features;
    }

    fn handle_element(&mut self, element: Element) {
        match (element.name(), element.ns()) {
            ("error", ns::STREAM) => self.close(Some(StreamError::from_element(&element))),
            ("features", ns::STREAM) if self.phase == Phase::Features => {
                self.handle_features(&element);
            }
            ("proceed", ns::TLS) if self.phase == Phase::StartingTls => {
                self.actions.push_back(OutgoingAction::StartTls);
            }
            ("failure", ns::TLS) if self.phase == Phase::StartingTls => {
                self.refuse(Refusal::NoWay("it could not begin TLS"));
            }
            (_, ns::SASL) if self.phase == Phase::External => self.handle_sasl(element.name()),
            (_, ns::DIALBACK) => self.handle_dialback(&element),
            (_, ns::SM) if self.phase == Phase::Managing => self.handle_managed(&element),
            // Stanzas come on the streams that the other server opens, or as it is allowed to.
            _ => {
                let handled = self.exchange.handle_element(element);
                self.check(handled);
            }
        }
    }

    fn check(&mut self, outcome: Result<(), StreamError>) {
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    fn handle_features(&mut self, features: &Element) {
        if !self.secure {
            if features.child("starttls", ns::TLS).is_none() {
                return self.refuse(Refusal::NoWay("it does not offer TLS"));
            }
            self.phase = Phase::StartingTls;
            return self.output().element(&Element::new("starttls", ns::TLS));
        }
        self.manageable = features.child("sm", ns::SM).is_some();
        if self.proved {
            return self.manage();
        }
        let mechanisms = features.child("mechanisms", ns::SASL);
        let external = |list: &Element| list.children().any(|one| one.text().trim() == "EXTERNAL");
        self.offered = Negotiable {
            external: mechanisms.is_some_and(external),
            dialback: features.child("dialback", ns::DIALBACK_FEATURE).is_some(),
        };
        let bidi = features.child("bidi", ns::BIDI_FEATURE).is_some();
        self.bidirectional = bidi && self.settings.bidi;
        self.phase = Phase::Negotiated;
        match self.wanted {
            true => self.prove(),
            false => self.ask(),
        }
    }

    fn prove(&mut self) {
        let both = Negotiable {
            external: self.negotiable.external && self.offered.external,
            dialback: self.negotiable.dialback && self.offered.dialback && !self.id.is_empty(),
        };
        // XEP-0288, section 2: before anything is proved, and once.
        if self.phase == Phase::Negotiated && self.bidirectional {
            self.output().element(&Element::new("bidi", ns::BIDI));
        }
        if both.external {
            self.phase = Phase::External;
            // Not "=": RFC 6120 wants an identity that differs from the stream's alone, but the server
            // software of before 2010 wants one in any case.
            let identity = encoding::encode(self.pair.from.as_str().as_bytes());
            let auth = Element::new("auth", ns::SASL).with_attr("mechanism", "EXTERNAL");
            return self.output().element(&auth.with_text(identity));
        }
        if both.dialback {
            self.phase = Phase::Dialback;
            let key = self.settings.secret.key(&self.pair, &self.id);
            self.exchange.output().element(&dialback::claim(&self.pair, key));
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
                self.certified = true;
                self.become_proved();
                self.open();
            }
            "failure" => {
                // XEP-0178, section 3, item 12: dialback may still do.
                self.offered.external = false;
                self.prove();
            }
            // EXTERNAL has no challenges when it begins with a response.
            _ => self.output().element(&Element::new("abort", ns::SASL)),
        }
    }

    /// The other server knows who we are. It has shown who it is when the connection was made.
    fn become_proved(&mut self) {
        self.proved = true;
        if self.bidirectional {
            self.exchange.admit(self.pair.reversed());
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
            Phase::Negotiated | Phase::Dialback | Phase::Managing | Phase::Ready => true,
            Phase::Refused => self.secure && !self.id.is_empty(),
            _ => false,
        };
        if !can_ask {
            return;
        }
        for question in self.questions.drain(..) {
            self.exchange.output().element(&dialback::question(&question));
            self.asked.push(question);
        }
    }

    fn handle_dialback(&mut self, element: &Element) {
        let Some(dialback) = Dialback::parse(element) else {
            return self.fail(StreamCondition::NotAuthorized.into());
        };
        match dialback.verdict.clone() {
            Some(verdict) if dialback.is_verify => self.handle_answer(&dialback, verdict),
            Some(verdict) => self.handle_result(&dialback, verdict),
            None => self.handle_request(dialback),
        }
    }

    fn handle_answer(&mut self, answer: &Dialback, verdict: Verdict) {
        // Only what was asked on this stream is answered there (XEP-0220, section 3.1).
        let is_it = |asked: &Verification| {
            asked.pair.from == answer.from
                && asked.pair.to == answer.to
                && Some(&asked.stream) == answer.id.as_ref()
        };
        let Some(place) = self.asked.iter().position(is_it) else { return };
        let asked = self.asked.swap_remove(place);
        self.actions.push_back(OutgoingAction::Verified(asked, verdict));
    }

    fn handle_result(&mut self, result: &Dialback, verdict: Verdict) {
        let is_ours = result.from == self.pair.to && result.to == self.pair.from;
        if self.phase != Phase::Dialback || !is_ours {
            return;
        }
        match verdict {
            Verdict::Valid => {
                self.become_proved();
                self.manage();
            }
            other => self.refuse(Refusal::Dialback(other)),
        }
    }

    /// XEP-0288, section 2: a server that may send proves further domains as on a stream of its own.
    fn handle_request(&mut self, request: Dialback) {
        if !self.bidirectional || !self.proved {
            return self.fail(StreamCondition::NotAuthorized.into());
        }
        let handled = match request.is_verify {
            true => self.exchange.answer_question(request),
            false => self.exchange.handle_claim(request, &self.id, None),
        };
        self.check(handled);
    }

    /// The answer to [`Exchanged::Claim`](super::Exchanged::Claim), at any time.
    pub fn handle_verdict(&mut self, pair: &Pair, verdict: &Verdict) {
        if self.phase != Phase::Closed {
            let concluded = self.exchange.conclude(pair, verdict);
            self.check(concluded);
        }
    }
}
