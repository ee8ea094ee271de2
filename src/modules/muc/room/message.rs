//! Messages to everybody, subjects and private messages (XEP-0045, sections 7.4, 7.5 and 8.1).

use wello_store::{ArchiveId, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::build;
use super::config::AllowPm;
use super::{Affiliation, Archived, Effects, Occupant, Past, Role, Room};

/// A message to the room.
pub struct Speech<'a> {
    pub from: &'a Jid,
    pub stanza: &'a Stanza,
    pub now: Timestamp,
    /// The id it gets in the room's archive.
    pub id: ArchiveId,
    /// Worth showing to those who come later.
    pub keep: bool,
    /// Goes into the archive if the room has one (XEP-0313, section 5.1.3).
    pub archive: bool,
}

impl Room {
    pub fn speak(&mut self, speech: &Speech<'_>, fx: &mut Effects) -> Result<(), StanzaError> {
        let speaker = self.occupant_of(speech.from).ok_or_else(not_an_occupant)?;
        let is_subject = is_subject(speech.stanza);
        self.check_voice(speaker, is_subject)?;
        self.check_pace(speaker, speech)?;
        let (role, account) = (speaker.role, speaker.account.clone());
        let sent = self.stamped(speaker, speech);
        if speech.archive && self.config.archive {
            let real = self.real_address(speech.from, role);
            let stanza = sent.clone().with_child(real);
            fx.archive = Some(Archived { id: speech.id, time: speech.now, stanza });
        }
        self.tell_message(&sent, fx);
        self.forward_mentions(&sent, speech.now, fx);
        if speech.stanza.has_child("body", ns::CLIENT) {
            if self.config.slow_mode > 0 {
                self.note_speech(account, speech.now);
            }
            if !speech.stanza.has_child("replace", ns::MESSAGE_CORRECT) {
                self.activity.count(speech.now);
            }
        }
        let past = Past { stanza: sent, at: speech.now };
        if is_subject {
            self.subject = Some(past);
            self.touch(fx);
        } else if speech.keep {
            self.remember(past);
        }
        Ok(())
    }

    fn check_voice(&self, speaker: &Occupant, is_subject: bool) -> Result<(), StanzaError> {
        let needed = match is_subject && !self.config.change_subject {
            true => Role::Moderator,
            false => Role::Participant,
        };
        match speaker.role >= needed {
            true => Ok(()),
            false if is_subject => Err(StanzaError::forbidden("not yours to set the subject")),
            false => Err(StanzaError::forbidden("visitors have no voice")),
        }
    }

    /// XEP-0500, section 6.
    fn check_pace(&self, speaker: &Occupant, speech: &Speech<'_>) -> Result<(), StanzaError> {
        let exempt = self.affiliation(speaker.account.as_str()) >= Affiliation::Admin;
        if self.config.slow_mode == 0 || exempt || !speech.stanza.has_child("body", ns::CLIENT) {
            return Ok(());
        }
        let Some(last) = self.spoke.get(&speaker.account) else { return Ok(()) };
        let next = last.plus_micros(i64::from(self.config.slow_mode) * 1_000_000);
        match speech.now < next {
            true => Err(StanzaError::policy_violation(format!(
                "slow mode: one message in {} seconds",
                self.config.slow_mode
            ))
            .with_type(wello_wire::error::ErrorType::Wait)),
            false => Ok(()),
        }
    }

    fn note_speech(&mut self, account: wello_wire::jid::BareJid, now: Timestamp) {
        let pause = i64::from(self.config.slow_mode) * 1_000_000;
        if self.spoke.len() > self.limits.occupants {
            self.spoke.retain(|_, last| now < last.plus_micros(pause));
        }
        self.spoke.insert(account, now);
    }

    /// What everybody gets: the message without what only the room may say, and with it.
    fn stamped(&self, speaker: &Occupant, speech: &Speech<'_>) -> Stanza {
        let mut sent = speech.stanza.clone();
        let room = self.jid.as_str();
        sent.retain_children(|child| keeps(child, room));
        sent.from = Some(speaker.jid.clone().into());
        sent.to = None;
        let id = Element::new("stanza-id", ns::STANZA_ID)
            .with_attr("id", speech.id.to_string())
            .with_attr("by", room);
        let archived = (speech.archive && self.config.archive).then_some(id);
        sent.with_children([build::occupant_id(&speaker.id)].into_iter().chain(archived))
    }

    fn real_address(&self, from: &Jid, role: Role) -> Element {
        let item = Element::new("item", ns::MUC_USER)
            .with_attr("affiliation", self.affiliation(from.bare_str()).as_str())
            .with_attr("role", role.name())
            .with_attr("jid", from.as_str());
        Element::new("x", ns::MUC_USER).with_child(item)
    }

    /// A message of the room itself to everybody, such as a retraction by a moderator.
    pub fn announce(
        &mut self,
        message: Stanza,
        id: Option<(ArchiveId, Timestamp)>,
        fx: &mut Effects,
    ) {
        let mut message = message.with_from(self.jid.clone());
        if let Some((id, time)) = id.filter(|_| self.config.archive) {
            message = message.with_child(
                Element::new("stanza-id", ns::STANZA_ID)
                    .with_attr("id", id.to_string())
                    .with_attr("by", self.jid.as_str()),
            );
            fx.archive = Some(Archived { id, time, stanza: message.clone() });
        }
        self.tell_message(&message, fx);
    }

    /// A message from one occupant to another (section 7.5).
    pub fn whisper(
        &self,
        from: &Jid,
        nick: &str,
        stanza: &Stanza,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let sender = self.occupant_of(from).ok_or_else(not_an_occupant)?;
        let target = self
            .occupant(nick)
            .ok_or_else(|| StanzaError::item_not_found("nobody has this nickname"))?;
        let allowed = match self.config.allow_pm {
            AllowPm::Anyone => true,
            AllowPm::Participants => sender.role >= Role::Participant,
            AllowPm::Moderators => sender.role == Role::Moderator,
            AllowPm::None => false,
        };
        if !allowed {
            return Err(StanzaError::forbidden("no private messages in this room"));
        }
        let room = self.jid.as_str();
        let mut sent = stanza.clone();
        sent.retain_children(|child| keeps(child, room));
        sent.from = Some(sender.jid.clone().into());
        let mark = Element::new("x", ns::MUC_USER);
        let sent = sent.with_children([mark, build::occupant_id(&sender.id)]);
        fx.private
            .extend(target.devices.iter().map(|device| sent.clone().with_to(device.jid.clone())));
        Ok(())
    }

    /// Forwards a stanza from one occupant's session to one session of another.
    pub fn relay(&self, from: &Jid, to: FullJid, stanza: &Stanza) -> Option<Stanza> {
        let sender = self.occupant_of_account(from)?;
        Some(stanza.clone().with_from(sender.jid.clone()).with_to(to))
    }
}

/// Section 8.1: a subject and no body; a message that has both says something.
pub fn is_subject(message: &Stanza) -> bool {
    message.has_child("subject", ns::CLIENT)
        && !message.has_child("body", ns::CLIENT)
        && !message.has_child("thread", ns::CLIENT)
}

pub fn not_an_occupant() -> StanzaError {
    StanzaError::not_acceptable("only for occupants of the room")
}

/// Whether a child may come from an occupant.
pub fn keeps(child: &Element, room: &str) -> bool {
    match (child.name(), child.ns()) {
        ("occupant-id", ns::OCCUPANT_ID)
        | (_, ns::MUC | ns::MUC_USER | ns::GUESTS)
        | ("hats", ns::HATS) => false,
        ("stanza-id", ns::STANZA_ID) => {
            // An address that cannot be read proves nothing.
            let by = child.attr("by").and_then(|by| by.parse::<Jid>().ok());
            by.is_some_and(|by| by.bare_str() != room)
        }
        // Only the room says that one of its messages was delayed.
        ("delay", ns::DELAY) => child
            .attr("from")
            .and_then(|from| from.parse::<Jid>().ok())
            .is_some_and(|from| from.bare_str() != room),
        _ => true,
    }
}
