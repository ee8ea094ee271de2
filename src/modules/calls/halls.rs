//! Which conference an address stands for, and who may be in it.

use std::collections::HashMap;
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};

use super::Calls;
use super::conference::{Conference, Guest, Parting};
use super::dialects::Door;
use crate::muc::Present;

/// Where a conference is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hall {
    /// The room, or the call itself when there is none.
    pub place: BareJid,
    /// The address of the focus.
    pub focus: BareJid,
    /// What was called.
    pub door: Door,
}

impl Calls {
    pub(super) fn hall(&self, called: &Jid) -> Result<Hall, StanzaError> {
        let unknown = || StanzaError::item_not_found("no such call");
        let called = Some(called.bare()).filter(|called| called.local().is_some());
        let called = called.ok_or_else(unknown)?;
        let (focuses, rooms) = self
            .domains
            .iter()
            .find(|(focuses, rooms)| [focuses.as_str(), rooms].contains(&called.domain()))
            .ok_or_else(unknown)?;
        if called.domain() == rooms {
            let focus = BareJid::from_parts(called.local(), focuses)?;
            return Ok(Hall { place: called, focus, door: Door::Meet });
        }
        if self.meets.has(&called) {
            return Ok(Hall { place: called.clone(), focus: called, door: Door::Meet });
        }
        let place = BareJid::from_parts(called.local(), rooms)?;
        Ok(Hall { place, focus: called, door: Door::Focus })
    }

    /// Who wants to join: the room has decided who is in it, or whoever has made the call.
    pub(super) fn admit(&self, place: &BareJid, who: &FullJid) -> Result<Guest, StanzaError> {
        if self.meets.has(place) {
            let guest = self.meets.admit(place, who);
            return guest.ok_or_else(|| StanzaError::forbidden("only for who was allowed to"));
        }
        let company = self.muc.company(place);
        if company.is_empty() {
            return Err(StanzaError::item_not_found("nobody is in this room"));
        }
        let present = company.into_iter().find(|present| present.jid == *who);
        let present = present.ok_or_else(|| StanzaError::forbidden("only for who is in the room"));
        present.map(guest)
    }

    /// Who may stay.
    fn guests(&self, place: &BareJid, conference: &Conference) -> HashMap<FullJid, Guest> {
        let guests: Vec<Guest> = match self.meets.has(place) {
            true => conference.devices().filter_map(|who| self.meets.admit(place, who)).collect(),
            false => self.muc.company(place).into_iter().map(guest).collect(),
        };
        guests.into_iter().map(|guest| (guest.jid.clone(), guest)).collect()
    }

    /// Puts those out who may not be there any more.
    pub(super) async fn review(
        &self,
        kernel: &Arc<Kernel>,
        place: &BareJid,
        why: impl Fn(&FullJid) -> Parting + Send,
    ) {
        let reviewed = self.on(kernel, place, None, move |conference, dice, fx| {
            // As it is by now: another change may have come between.
            let guests = self.guests(place, conference);
            conference.room_changed(&guests, &why, dice, fx);
            Ok(())
        });
        // There may be no conference.
        let _ = reviewed.await;
    }

    /// Puts everybody out.
    pub(super) async fn end(&self, kernel: &Arc<Kernel>, place: &BareJid, why: Parting) {
        let ended = self.on(kernel, place, None, move |conference, dice, fx| {
            conference.room_changed(&HashMap::new(), &|_| why, dice, fx);
            Ok(())
        });
        let _ = ended.await;
    }
}

fn guest(present: Present) -> Guest {
    Guest {
        jid: present.jid,
        occupant: present.occupant,
        voice: present.voice,
        moderates: present.moderates,
        sees_addresses: present.sees_addresses,
        shows_call: present.shows_call,
        speaks_movim: present.client.is_some_and(|client| client.starts_with(MOVIM)),
    }
}

/// How Movim names itself in its presence (XEP-0115).
const MOVIM: &str = "https://movim.eu";
