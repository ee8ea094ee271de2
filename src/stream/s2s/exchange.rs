//! What a stream carries once a server has proved who it is, whichever of the two opened it: stanzas,
//! claims of further domains, and acknowledgements (XEP-0198).

use std::collections::VecDeque;
use std::sync::Arc;

use compact_str::CompactString;
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::stanza::{Stanza, StanzaParseError};
use wello_wire::xml::{Element, Ns, ReadError, StreamEvent};

use super::dialback::{self, Dialback};
use super::transit::{Progress, Stranded, Transit};
use super::{Domain, Pair, Settings, Verdict, Verification};
use crate::framing::{Framing, Input, Output};
use crate::sm::{StreamManagement, acknowledgement, failed, handled_count};

/// What the other server's elements ask for.
#[derive(Debug)]
pub enum Exchanged {
    /// Of a pair that has been authenticated, its addresses being there.
    Stanza(Stanza),
    /// Ask the server that the name system knows for `pair.from`, or be satisfied by the certificate;
    /// then call `handle_verdict` of the stream.
    Claim(Verification),
    /// Call [`Exchange::acknowledge`] when what was handled so far is on stable storage.
    AcknowledgementWanted,
    /// The former stream is not resumed. The other server did not handle these: send them again.
    Unhandled(Vec<Stanza>),
    /// The former stream is not resumed. Whether these have arrived will not be known any more.
    Unknown(Vec<Stanza>),
}

/// A stream without its connection.
#[derive(Debug)]
pub struct Former {
    pub(super) management: StreamManagement,
    /// Whose stanzas it took.
    pub(super) pairs: Vec<Pair>,
}

impl Former {
    pub fn has_unacknowledged(&self) -> bool {
        self.management.unacknowledged().next().is_some()
    }

    /// What is left if nobody resumes it.
    pub fn into_unacknowledged(self) -> Vec<Stanza> {
        self.management.into_unacknowledged().collect()
    }
}

/// What is left of a managed stream whose connection is gone.
#[derive(Debug, Default)]
pub struct Remains {
    /// The stream may be resumed.
    pub former: Option<Former>,
    /// Not acknowledged, and they will not be.
    pub unknown: Vec<Stanza>,
}

/// See the module.
pub struct Exchange {
    settings: Arc<Settings>,
    input: Input,
    output: Output,
    exchanged: VecDeque<Exchanged>,
    pairs: Vec<Pair>,
    /// Claims that are being verified.
    claimed: Vec<Pair>,
    refusals: u32,
    lang: Option<CompactString>,
    management: Option<StreamManagement>,
    transit: Transit,
}

/// Attempts to prove something that may fail.
const MAX_REFUSALS: u32 = 5;

impl Exchange {
    pub(super) fn new(settings: Arc<Settings>) -> Exchange {
        Exchange {
            input: Input::new(Framing::Stream, settings.limits_before_login),
            output: Output::of_server(ns::SERVER),
            exchanged: VecDeque::new(),
            pairs: Vec::new(),
            claimed: Vec::new(),
            refusals: 0,
            lang: None,
            management: None,
            transit: Transit::default(),
            settings,
        }
    }

    pub fn poll(&mut self) -> Option<Exchanged> {
        self.exchanged.pop_front()
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whose stanzas are taken.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub fn is_managed(&self) -> bool {
        self.management.is_some()
    }

    /// Stanzas of the other server that were handled.
    pub fn handled(&self) -> u32 {
        self.management.as_ref().map_or(0, StreamManagement::handled)
    }

    /// Bytes that were sent and are kept until the other server acknowledges them; without stream management,
    /// until its transport does.
    pub fn unacknowledged_bytes(&self) -> usize {
        let managed = self.management.as_ref().map(StreamManagement::queued_bytes);
        managed.unwrap_or_else(|| self.transit.bytes())
    }

    /// Changes with each acknowledgement of either kind.
    pub fn acknowledged(&self) -> u64 {
        let managed = self.management.as_ref().map(StreamManagement::acknowledged);
        managed.map_or_else(|| self.transit.mark(), u64::from)
    }

    /// The stanza has to be of a pair that we have proved to the other server.
    pub fn send(&mut self, stanza: Stanza) {
        write(&mut self.output, &stanza);
        match &mut self.management {
            Some(management) => management.push(stanza),
            None => self.transit.push(stanza),
        }
    }

    /// Everything in the output has been written to the connection. `progress`: as it is now, if stanzas are
    /// not acknowledged and the transport can tell.
    pub fn handle_written(&mut self, progress: Option<Progress>) {
        self.transit.handle_written(progress);
    }

    /// How far the connection has come meanwhile.
    pub fn handle_progress(&mut self, progress: Option<Progress>) {
        self.transit.handle_progress(progress);
    }

    /// The connection is gone: what nobody would have acknowledged and has not arrived.
    pub fn take_stranded(&mut self) -> Stranded {
        self.transit.end()
    }

    /// Asks for an acknowledgement if one is due; `idle` tells that nothing else waits.
    pub fn request_acknowledgement(&mut self, idle: bool) -> bool {
        let due = self.management.as_mut().is_some_and(|it| it.wants_acknowledgement(idle, true));
        if due {
            self.output.element(&Element::new("r", ns::SM));
        }
        due
    }

    /// Answers [`Exchanged::AcknowledgementWanted`]; `h` counts what is handled and durable.
    pub fn acknowledge(&mut self, h: u32) {
        self.output.element(&acknowledgement(h));
    }

    pub fn release_temporaries(&mut self) {
        self.input.release_temporaries();
        self.exchanged.shrink_to_fit();
        self.transit.release_temporaries();
    }

    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<StreamEvent>, ReadError> {
        self.input.read(bytes)
    }

    /// Whether the driver has something to do first.
    pub(super) fn is_waiting(&self) -> bool {
        !self.exchanged.is_empty()
    }

    pub(super) fn restart(&mut self) {
        self.input.restart();
        self.output.restart();
    }

    pub(super) fn set_lang(&mut self, lang: Option<&str>) {
        self.lang = lang.map(Into::into);
    }

    /// Stanzas of the pair are taken from now on.
    pub(super) fn admit(&mut self, pair: Pair) {
        self.input.set_limits(self.settings.limits);
        if !self.pairs.contains(&pair) {
            self.pairs.push(pair);
        }
    }

    pub(super) fn management(&self) -> Option<&StreamManagement> {
        self.management.as_ref()
    }

    pub(super) fn manage(&mut self, management: StreamManagement) {
        self.management = Some(management);
    }

    /// Goes on with a former stream, of which the other server has handled `h` stanzas. What it has not
    /// handled is sent again by [`Exchange::resend`].
    pub(super) fn resume(&mut self, former: Former, h: u32) -> Result<(), StreamError> {
        let Former { mut management, pairs } = former;
        let outcome = management.handle_acknowledgement(h);
        self.management = Some(management);
        pairs.into_iter().for_each(|pair| self.admit(pair));
        outcome.map(drop).map_err(StreamError::from)
    }

    pub(super) fn resend(&mut self) {
        let Some(management) = &self.management else { return };
        for stanza in management.unacknowledged() {
            write(&mut self.output, stanza);
        }
        if management.queued_bytes() > 0 {
            self.output.element(&Element::new("r", ns::SM));
        }
    }

    /// Gives a former stream up. `h`: what the other server says that it has handled of it.
    pub(super) fn give_up(&mut self, former: Former, h: Option<u32>) {
        let Former { mut management, .. } = former;
        let counted = h.is_some_and(|h| management.handle_acknowledgement(h).is_ok());
        let stanzas: Vec<Stanza> = management.into_unacknowledged().collect();
        if !stanzas.is_empty() {
            self.exchanged.push_back(match counted {
                true => Exchanged::Unhandled(stanzas),
                false => Exchanged::Unknown(stanzas),
            });
        }
    }

    /// `broken`: the stream was not closed, so it may go on elsewhere.
    pub(super) fn take_remains(&mut self, broken: bool) -> Remains {
        match self.management.take() {
            Some(management) if broken && management.is_resumable() => {
                let pairs = std::mem::take(&mut self.pairs);
                Remains { former: Some(Former { management, pairs }), unknown: Vec::new() }
            }
            Some(management) => {
                Remains { former: None, unknown: management.into_unacknowledged().collect() }
            }
            None => Remains::default(),
        }
    }

    /// An element that is not of the stream's negotiation.
    pub(super) fn handle_element(&mut self, element: Element) -> Result<(), StreamError> {
        match (element.name(), element.ns(), &mut self.management) {
            ("r", ns::SM, Some(_)) => {
                self.exchanged.push_back(Exchanged::AcknowledgementWanted);
                Ok(())
            }
            ("a", ns::SM, Some(management)) => {
                let h = handled_count(&element).ok_or(StreamCondition::BadFormat)?;
                management.handle_acknowledgement(h)?;
                Ok(())
            }
            (_, ns::SM, _) => {
                self.output.element(&failed("unexpected-request"));
                Ok(())
            }
            _ => self.handle_stanza(element),
        }
    }

    fn handle_stanza(&mut self, mut element: Element) -> Result<(), StreamError> {
        if element.ns() != ns::SERVER {
            return Err(StreamCondition::UnsupportedStanzaType.into());
        }
        if self.pairs.is_empty() {
            return Err(StreamCondition::NotAuthorized.into());
        }
        element.rename_ns(ns::SERVER, &Ns::from(ns::CLIENT));
        match Stanza::from_element(element) {
            Ok(stanza) => {
                let stanza = self.check(stanza)?;
                self.exchanged.push_back(Exchanged::Stanza(stanza));
            }
            Err(StanzaParseError::NotAStanza) => {
                return Err(StreamCondition::UnsupportedStanzaType.into());
            }
            // The other server may go by other rules for addresses. Its users share the stream, and one
            // of them must not be able to end it; nobody could be told by such an address.
            Err(StanzaParseError::BadAddress { .. }) => {}
        }
        if let Some(management) = &mut self.management {
            management.handle_stanza();
        }
        Ok(())
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

    /// We are the authoritative server: somebody got a key that is said to be ours.
    pub(super) fn answer_question(&mut self, asked: Dialback) -> Result<(), StreamError> {
        let stream = asked.id.ok_or(StreamCondition::BadFormat)?;
        let pair = Pair { from: asked.to, to: asked.from };
        let verification = Verification { pair, stream, key: asked.key };
        let verdict = match self.settings.domains.contains(&verification.pair.from) {
            false => Verdict::Unknown(StanzaError::item_not_found("")),
            true if self.settings.secret.verifies(&verification) => Verdict::Valid,
            true => Verdict::Invalid,
        };
        let Verification { pair, stream, .. } = verification;
        self.output.element(&dialback::answer(&pair.from, &pair.to, &stream, &verdict));
        Ok(())
    }

    /// We are the receiving server: the other one claims to be a domain, by a key for the stream `id`.
    /// `refusal`: why it may not.
    pub(super) fn handle_claim(
        &mut self,
        claim: Dialback,
        id: &str,
        refusal: Option<StanzaError>,
    ) -> Result<(), StreamError> {
        let pair = Pair { from: claim.from, to: claim.to };
        if let Some(error) = refusal.or_else(|| self.refusal(&pair)) {
            self.output.element(&dialback::result(&pair, &Verdict::Unknown(error)));
            return self.count_refusal();
        }
        if self.pairs.contains(&pair) {
            self.output.element(&dialback::result(&pair, &Verdict::Valid));
        } else if !self.claimed.contains(&pair) {
            self.claimed.push(pair.clone());
            let verification = Verification { pair, stream: id.to_owned(), key: claim.key };
            self.exchanged.push_back(Exchanged::Claim(verification));
        }
        Ok(())
    }

    fn refusal(&self, pair: &Pair) -> Option<StanzaError> {
        let is_ours = |domain: &Domain| self.settings.domains.contains(domain);
        if !is_ours(&pair.to) {
            Some(StanzaError::item_not_found("not a domain of this server"))
        } else if is_ours(&pair.from) {
            Some(StanzaError::not_allowed("a domain of this server"))
        } else if self.pairs.len() + self.claimed.len() >= self.settings.pairs {
            Some(StanzaError::resource_constraint("too many domains on one stream"))
        } else {
            None
        }
    }

    /// What became of a claim.
    pub(super) fn conclude(&mut self, pair: &Pair, verdict: &Verdict) -> Result<(), StreamError> {
        let Some(place) = self.claimed.iter().position(|claimed| claimed == pair) else {
            return Ok(());
        };
        self.claimed.swap_remove(place);
        self.output.element(&dialback::result(pair, verdict));
        match verdict {
            Verdict::Valid => {
                self.admit(pair.clone());
                Ok(())
            }
            Verdict::Invalid | Verdict::Unknown(_) => self.count_refusal(),
        }
    }

    pub(super) fn count_refusal(&mut self) -> Result<(), StreamError> {
        self.refusals += 1;
        match self.refusals < MAX_REFUSALS {
            true => Ok(()),
            false => {
                let error = StreamError::new(StreamCondition::PolicyViolation);
                Err(error.with_text("too many attempts"))
            }
        }
    }
}

fn write(output: &mut Output, stanza: &Stanza) {
    output.write(|bytes, default_ns| stanza.write(bytes, default_ns));
}
