//! Client state indication (XEP-0352): what a phone with a dark screen is spared.

use std::collections::VecDeque;

use wello_wire::ns;
use wello_wire::stanza::{Kind, MessageType, PresenceType, Stanza};
use wello_wire::xml::Element;

/// When a stanza goes to a client that said it is inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Together with everything held before it, so that order is kept.
    Now,
    /// With the next urgent one or when the client becomes active.
    Later,
    /// Later, and a newer one from the same sender takes its place.
    Latest,
    /// Not at all: it is of no use any more once it is late.
    Never,
}

/// Holds back what can wait while the client is inactive.
#[derive(Debug, Default)]
pub struct ClientState {
    inactive: bool,
    held: VecDeque<Stanza>,
    held_bytes: usize,
}

impl ClientState {
    /// Bytes held before everything is flushed.
    const MAX_HELD: usize = 64 * 1024;

    pub fn is_inactive(&self) -> bool {
        self.inactive
    }

    pub fn handle_inactive(&mut self) {
        self.inactive = true;
    }

    /// Returns what was held, in order.
    pub fn handle_active(&mut self) -> VecDeque<Stanza> {
        self.inactive = false;
        self.flush()
    }

    /// Takes a stanza for the client; returns what is to be written now, in order.
    pub fn handle_stanza(&mut self, stanza: Stanza) -> VecDeque<Stanza> {
        if !self.inactive {
            return VecDeque::from([stanza]);
        }
        match urgency(&stanza).0 {
            Urgency::Now => {
                let mut due = self.flush();
                due.push_back(stanza);
                return due;
            }
            Urgency::Later => self.hold(stanza),
            Urgency::Latest => {
                let outdated = |held: &Stanza| held.kind == stanza.kind && held.from == stanza.from;
                if let Some(at) = self.held.iter().position(outdated) {
                    self.held_bytes -= self.held[at].weight();
                    self.held.remove(at);
                }
                self.hold(stanza);
            }
            Urgency::Never => {}
        }
        if self.held_bytes > Self::MAX_HELD { self.flush() } else { VecDeque::new() }
    }

    /// Gives up what is held, for instance because the connection went away.
    pub fn flush(&mut self) -> VecDeque<Stanza> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    fn hold(&mut self, stanza: Stanza) {
        self.held_bytes += stanza.weight();
        self.held.push_back(stanza);
    }
}

/// The policy, with the reason for the log.
pub fn urgency(stanza: &Stanza) -> (Urgency, &'static str) {
    match stanza.kind {
        Kind::Iq => (Urgency::Now, "iq"),
        Kind::Presence => presence_urgency(stanza),
        Kind::Message => message_urgency(stanza),
    }
}

fn presence_urgency(stanza: &Stanza) -> (Urgency, &'static str) {
    match stanza.presence_type() {
        // Joins, kicks and status codes of rooms decide what a client may do next.
        _ if stanza.has_child("x", ns::MUC_USER) => (Urgency::Now, "room presence"),
        Some(PresenceType::Available | PresenceType::Unavailable) => {
            (Urgency::Latest, "availability")
        }
        _ => (Urgency::Now, "subscription or error"),
    }
}

fn message_urgency(stanza: &Stanza) -> (Urgency, &'static str) {
    if stanza.message_type() == MessageType::Error {
        return (Urgency::Now, "error");
    }
    // A carbon copy is judged by what it wraps.
    if let Some(inner) = carbon_content(stanza) {
        return element_urgency(inner);
    }
    let mut verdict = (Urgency::Later, "nothing to show");
    for child in stanza.children() {
        match child_urgency(child) {
            found @ (Urgency::Now, _) => return found,
            found @ (Urgency::Never, _) => verdict = found,
            _ => {}
        }
    }
    verdict
}

fn element_urgency(message: &Element) -> (Urgency, &'static str) {
    let found = message.children().map(child_urgency).find(|found| found.0 == Urgency::Now);
    found.unwrap_or((Urgency::Later, "nothing to show"))
}

fn child_urgency(child: &Element) -> (Urgency, &'static str) {
    const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
    const CALL_INVITES: &str = "urn:xmpp:call-invites:0";
    match (child.name(), child.ns()) {
        ("body" | "subject", ns::CLIENT) => (Urgency::Now, "text"),
        ("encrypted", _) => (Urgency::Now, "encrypted"),
        (_, JINGLE_MESSAGE | CALL_INVITES | ns::MEET) => (Urgency::Now, "call"),
        ("invite", _) | ("x", "jabber:x:conference") => (Urgency::Now, "invitation"),
        ("x", ns::MUC_USER) => (Urgency::Now, "room"),
        ("result", ns::MAM) | ("fin", ns::MAM) => (Urgency::Now, "archive page"),
        ("received" | "displayed", _) => (Urgency::Later, "receipt"),
        // Typing notices say nothing minutes later.
        (_, ns::CHAT_STATES) => (Urgency::Never, "chat state"),
        _ => (Urgency::Later, "other"),
    }
}

fn carbon_content(stanza: &Stanza) -> Option<&Element> {
    let wrapper = stanza.children().find(|child| child.ns() == ns::CARBONS)?;
    wrapper.child("forwarded", ns::FORWARD)?.child("message", ns::CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(xml: &str) -> Stanza {
        Stanza::from_element(xml.parse().unwrap()).unwrap()
    }

    fn message(children: &str) -> Stanza {
        stanza(&format!("<message xmlns='jabber:client' type='chat'>{children}</message>"))
    }

    #[test]
    fn chatter_waits_and_text_brings_it_along() {
        let mut state = ClientState::default();
        state.handle_inactive();
        let receipt = message("<received xmlns='urn:xmpp:receipts' id='1'/>");
        assert!(state.handle_stanza(receipt).is_empty());
        let typing = message("<composing xmlns='http://jabber.org/protocol/chatstates'/>");
        assert!(state.handle_stanza(typing).is_empty());
        let due = state.handle_stanza(message("<body>hi</body>"));
        assert_eq!(due.len(), 2);
        assert!(due[0].has_child("received", "urn:xmpp:receipts"));
    }

    #[test]
    fn only_the_latest_presence_of_a_sender_is_kept() {
        let mut state = ClientState::default();
        state.handle_inactive();
        for show in ["away", "dnd", "xa"] {
            let text = format!(
                "<presence xmlns='jabber:client' from='a@b/c'><show>{show}</show></presence>"
            );
            assert!(state.handle_stanza(stanza(&text)).is_empty());
        }
        let held = state.handle_active();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].child("show", ns::CLIENT).unwrap().text(), "xa");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut state = ClientState::default();
        state.handle_inactive();
        let big = format!("<x xmlns='u'>{}</x>", "x".repeat(ClientState::MAX_HELD));
        assert_eq!(state.handle_stanza(message(&big)).len(), 1);
    }

    #[test]
    fn calls_and_wrapped_texts_are_urgent() {
        let call = message("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>");
        assert_eq!(urgency(&call).0, Urgency::Now);
        let carbon = message(
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client'><body>x</body></message></forwarded></sent>",
        );
        assert_eq!(urgency(&carbon).0, Urgency::Now);
    }
}
