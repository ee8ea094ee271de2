//! What was said before, and the subject (XEP-0045, sections 7.2.13 to 7.2.15).

use wello_store::{ArchivedMessage, Timestamp};
use wello_wire::jid::FullJid;
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::{Effects, HistoryWish, Room};

/// A message of the past.
#[derive(Clone, Debug)]
pub struct Past {
    /// As the occupants got it.
    pub stanza: Stanza,
    pub at: Timestamp,
}

/// Where the time of the subject is kept in the stored message.
const STAMP: &str = "stamp";

impl Past {
    /// What [`Past::to_bytes`] made.
    pub fn parse(bytes: &[u8]) -> Option<Past> {
        let mut element = std::str::from_utf8(bytes).ok()?.parse::<Element>().ok()?;
        let at = element.attr(STAMP)?.parse().ok()?;
        element.remove_attr(STAMP);
        Some(Past { stanza: Stanza::from_element(element).ok()?, at })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let element = self.stanza.to_element().with_attr(STAMP, self.at.to_string());
        element.to_string().into_bytes()
    }

    /// A message out of the archive, without what not everybody may see.
    pub fn of_archive(message: &ArchivedMessage, room: &str) -> Option<Past> {
        let element = std::str::from_utf8(&message.stanza).ok()?.parse::<Element>().ok()?;
        let mut stanza = Stanza::from_element(element).ok()?;
        stanza.retain_children(|child| !child.is("x", ns::MUC_USER));
        let id = Element::new("stanza-id", ns::STANZA_ID)
            .with_attr("id", message.id.to_string())
            .with_attr("by", room);
        Some(Past { stanza: stanza.with_child(id), at: message.time })
    }

    /// Something that was said, not a subject that was set.
    pub fn is_speech(&self) -> bool {
        !super::is_subject(&self.stanza)
    }

    fn delayed(&self, room: &Room, to: &FullJid) -> Stanza {
        let mut stanza = self.stanza.clone().with_to(to.clone());
        stanza.stamps.push(Delay::by(self.at, room.jid.clone()).to_element());
        stanza
    }
}

impl Room {
    /// Fills the history of a room that was loaded, oldest first.
    pub fn remember_all(&mut self, past: impl IntoIterator<Item = Past>) {
        for one in past {
            self.remember(one);
        }
    }

    pub(super) fn remember(&mut self, past: Past) {
        let most = self.config.history.min(self.limits.history) as usize;
        self.history.push_back(past);
        while self.history.len() > most {
            self.history.pop_front();
        }
    }

    /// Takes a message that was retracted out of what newcomers see.
    pub fn forget_message(&mut self, id: &str) {
        self.history.retain(|past| {
            let mut ids =
                past.stanza.children().filter(|child| child.is("stanza-id", ns::STANZA_ID));
            ids.all(|found| found.attr("id") != Some(id))
        });
    }

    pub(super) fn send_history(&self, to: &FullJid, wish: &HistoryWish, fx: &mut Effects) {
        let most = wish.max_stanzas.unwrap_or(usize::MAX);
        let mut chars = wish.max_chars.unwrap_or(usize::MAX);
        let mut chosen = Vec::new();
        for past in self.history.iter().rev().take(most) {
            if wish.since.is_some_and(|since| past.at < since) {
                break;
            }
            let stanza = past.delayed(self, to);
            // Section 7.2.14: characters of whole stanzas.
            if wish.max_chars.is_some() {
                let length = String::from_utf8_lossy(&stanza.to_bytes()).chars().count();
                let Some(left) = chars.checked_sub(length) else { break };
                chars = left;
            }
            chosen.push(stanza);
        }
        fx.out.extend(chosen.into_iter().rev());
    }

    /// Section 7.2.15: always, also when there is none.
    pub(super) fn send_subject(&self, to: &FullJid, fx: &mut Effects) {
        fx.out.push(match &self.subject {
            Some(subject) => subject.delayed(self, to),
            None => Stanza::message(MessageType::Groupchat)
                .with_from(self.jid.clone())
                .with_to(to.clone())
                .with_child(Element::new("subject", ns::CLIENT)),
        });
    }

    /// The text of the subject.
    pub fn subject(&self) -> Option<String> {
        let subject = self.subject.as_ref()?.stanza.child("subject", ns::CLIENT)?;
        Some(subject.text().into_owned()).filter(|text| !text.is_empty())
    }
}
