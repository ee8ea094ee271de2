//! A bound stream: stanzas, stream management and client state.

use std::collections::VecDeque;

use compact_str::CompactString;
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::jid::FullJid;
use wello_wire::ns;
use wello_wire::stanza::{Stanza, StanzaParseError, StoredCopy};
use wello_wire::xml::Element;

use super::{Action, C2s, Phase};
use crate::csi::ClientState;
use crate::random::random_id;
use crate::sm::{
    StreamManagement, acknowledgement, enabled, failed, handled_count, has_resumption,
};

/// What belongs to the session rather than to the connection.
#[derive(Debug)]
pub struct Established {
    pub jid: FullJid,
    management: Option<StreamManagement>,
    client_state: ClientState,
    /// The client closed its stream, so nothing is kept for a resumption.
    forgotten: bool,
    /// Stored copies of what is in the output and will not be acknowledged.
    written: Vec<StoredCopy>,
    /// Stored copies of what was written.
    delivered: Vec<StoredCopy>,
}

impl Established {
    pub(super) fn new(jid: FullJid, management: Option<StreamManagement>) -> Established {
        Established {
            jid,
            management,
            client_state: ClientState::default(),
            forgotten: false,
            written: Vec::new(),
            delivered: Vec::new(),
        }
    }

    pub fn management(&self) -> Option<&StreamManagement> {
        self.management.as_ref()
    }

    pub fn management_mut(&mut self) -> Option<&mut StreamManagement> {
        self.management.as_mut()
    }

    /// Whether the session outlives its connection.
    pub fn is_resumable(&self) -> bool {
        !self.forgotten && self.management.as_ref().is_some_and(StreamManagement::is_resumable)
    }

    /// Keeps a stanza for a client that is away.
    pub fn keep(&mut self, stanza: Stanza) {
        if let Some(management) = &mut self.management {
            management.push(stanza);
        }
    }

    /// Takes the state out, for another connection or for the end of the session.
    pub fn take_management(&mut self) -> Option<StreamManagement> {
        let held = self.client_state.flush();
        let mut management = self.management.take();
        if let Some(management) = &mut management {
            held.into_iter().for_each(|stanza| management.push(stanza));
        }
        management
    }

    /// What the client has not been sent, where it cannot acknowledge.
    pub fn take_held(&mut self) -> VecDeque<Stanza> {
        self.client_state.flush()
    }

    /// Everything in the output has been written to the connection.
    pub fn handle_written(&mut self) {
        self.delivered.append(&mut self.written);
    }

    /// Stored copies of what the client has got since the last call: what it acknowledged, or
    /// without stream management what was written.
    pub fn take_delivered(&mut self) -> Vec<StoredCopy> {
        let mut delivered = std::mem::take(&mut self.delivered);
        if let Some(management) = &mut self.management {
            delivered.append(&mut management.take_delivered());
        }
        delivered
    }

    /// Begins with a client that nobody looks at (XEP-0352).
    pub(super) fn deactivate(&mut self) {
        self.client_state.handle_inactive();
    }

    /// Nothing is kept for a resumption.
    pub fn forget(&mut self) {
        self.forgotten = true;
    }
}

impl C2s {
    pub(super) fn handle_established(
        &mut self,
        mut established: Box<Established>,
        element: Element,
    ) {
        match (element.name(), element.ns()) {
            (_, ns::SM) => self.handle_management(&mut established, &element),
            ("active", ns::CSI) => {
                for stanza in established.client_state.handle_active() {
                    self.write(&mut established, stanza);
                }
                self.actions.push_back(Action::ClientState { active: true });
            }
            ("inactive", ns::CSI) => {
                established.client_state.handle_inactive();
                self.actions.push_back(Action::ClientState { active: false });
            }
            _ => self.handle_stanza(&mut established, element),
        }
        // Also after a failure: the driver still has to take the session's state out.
        self.phase = Phase::Established(established);
    }

    fn handle_stanza(&mut self, established: &mut Established, element: Element) {
        let raw = Raw::of(&element);
        match Stanza::from_element(element) {
            Ok(mut stanza) => {
                if let Some(management) = &mut established.management {
                    management.handle_stanza();
                }
                if stanza.lang.is_none() {
                    stanza.lang.clone_from(&self.lang);
                }
                self.actions.push_back(Action::Stanza(stanza));
            }
            Err(StanzaParseError::NotAStanza) => {
                self.fail(&StreamError::new(StreamCondition::UnsupportedStanzaType));
            }
            Err(StanzaParseError::BadAddress { attribute: "from", .. }) => {
                self.fail(&StreamError::new(StreamCondition::InvalidFrom));
            }
            Err(StanzaParseError::BadAddress { error, .. }) => {
                if let Some(management) = &mut established.management {
                    management.handle_stanza();
                }
                self.refuse_raw(established, &raw, &StanzaError::jid_malformed(error.to_string()));
            }
        }
    }

    /// RFC 6120, section 8.1.1.1: an address that is none cannot be the sender of the error.
    fn refuse_raw(&mut self, established: &mut Established, raw: &Raw, error: &StanzaError) {
        if raw.type_.as_deref() == Some("error") || raw.type_.as_deref() == Some("result") {
            return;
        }
        let answer = Element::new(raw.name.clone(), ns::CLIENT)
            .with_attr("type", "error")
            .with_attr_opt("id", raw.id.clone())
            .with_attr("to", established.jid.as_str())
            .with_attr("from", established.jid.domain())
            .with_child(error.to_element(ns::CLIENT));
        if let Ok(answer) = Stanza::from_element(answer) {
            self.write(established, answer);
        }
    }

    fn handle_management(&mut self, established: &mut Established, element: &Element) {
        match element.name() {
            "enable" => self.enable_management(established, element),
            "r" if established.management.is_some() => {
                self.actions.push_back(Action::Acknowledge);
            }
            "a" => self.handle_acknowledgement(established, element),
            "resume" | "r" => {
                self.output.element(&failed("unexpected-request"));
            }
            _ => self.fail(&StreamError::new(StreamCondition::UnsupportedStanzaType)),
        }
    }

    fn enable_management(&mut self, established: &mut Established, element: &Element) {
        if established.management.is_some() {
            self.output.element(&failed("unexpected-request"));
            return;
        }
        let enabled = self.start_management(established, has_resumption(element));
        self.output.element(&enabled);
    }

    /// Begins stream management; returns the `<enabled/>` to be sent.
    pub(super) fn start_management(
        &mut self,
        established: &mut Established,
        resume: bool,
    ) -> Element {
        let id = CompactString::from(random_id());
        established.management = Some(StreamManagement::new(id.clone(), resume));
        let max = self.settings.hibernation;
        let enabled = enabled(resume.then_some((id.as_str(), max)));
        if resume {
            self.actions.push_back(Action::Managed { id });
        }
        enabled
    }

    fn handle_acknowledgement(&mut self, established: &mut Established, element: &Element) {
        let (Some(h), Some(management)) = (handled_count(element), &mut established.management)
        else {
            return self.fail(&StreamError::new(StreamCondition::BadFormat));
        };
        if let Err(error) = management.handle_acknowledgement(h) {
            established.forgotten = true;
            self.fail(&error.into());
        }
    }

    /// Answers [`Action::Acknowledge`]; `h` counts what is handled and durable.
    pub fn acknowledge(&mut self, h: u32) {
        self.output.element(&acknowledgement(h));
    }

    /// Sends a stanza to the client, now or when its state allows.
    pub fn send(&mut self, stanza: Stanza) {
        let Phase::Established(mut established) = std::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return;
        };
        if established.client_state.is_inactive() {
            for due in established.client_state.handle_stanza(stanza) {
                self.write(&mut established, due);
            }
        } else {
            self.write(&mut established, stanza);
        }
        self.phase = Phase::Established(established);
    }

    /// Asks for an acknowledgement when one is due, and tells whether it was. `idle`: nothing more is to be sent now;
    /// `paused`: the last question is some time ago.
    pub fn request_acknowledgement(&mut self, idle: bool, paused: bool) -> bool {
        let Phase::Established(established) = &mut self.phase else { return false };
        let management = established.management.as_mut();
        let due = management.is_some_and(|sm| sm.wants_acknowledgement(idle, paused));
        if due {
            self.output.element(&Element::new("r", ns::SM));
        }
        due
    }

    fn write(&mut self, established: &mut Established, stanza: Stanza) {
        self.output.write(|bytes, default_ns| stanza.write(bytes, default_ns));
        match &mut established.management {
            Some(management) => management.push(stanza),
            None => established.written.extend(stanza.stored),
        }
    }

    /// Sends again what the client did not acknowledge on its former connection.
    pub(super) fn resend(&mut self, management: &StreamManagement) {
        for stanza in management.unacknowledged() {
            self.output.write(|bytes, default_ns| stanza.write(bytes, default_ns));
        }
    }
}

/// What is needed to answer a stanza that does not parse.
struct Raw {
    name: CompactString,
    id: Option<CompactString>,
    type_: Option<CompactString>,
}

impl Raw {
    fn of(element: &Element) -> Raw {
        Raw {
            name: element.name().into(),
            id: element.attr("id").map(Into::into),
            type_: element.attr("type").map(Into::into),
        }
    }
}
