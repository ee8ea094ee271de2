//! The focus as an occupant of rooms: while there is a conference, or as long as the room wants it
//! that has invited it. There clients such as Movim look for it, and its presence tells everybody
//! who is in the conference (RFC 4575).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::Chore;
use wello_store::Timestamp;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::caps::{Caps, CapsHash, verification_string};
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::conference::Conference;
use super::{Calls, focus};
use crate::muc::{Parted, RoomWatch, parted};

/// Names the software (XEP-0115, section 4).
const NODE: &str = "urn:wello:calls";
/// The nickname that the focus wants, and the resource that it is there with.
const NICK: &str = "Calls";
/// Everybody in the room gets the whole roster: not with each of many changes.
const REST: Duration = Duration::from_secs(1);

/// What there is between the focus and a room.
#[derive(Debug, Default)]
pub struct Visit {
    /// It stays when the conference is over.
    invited: bool,
    stay: Stay,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stay {
    #[default]
    Outside,
    Inside {
        /// When the room was told who is in the conference.
        told: Timestamp,
        /// That has changed since.
        is_due: bool,
    },
    /// It does not come back in this conference, unless it is invited.
    PutOut,
}

/// What the room is to be told.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Enter,
    Update,
    Nothing,
}

impl Visit {
    /// Who is in the conference has changed.
    fn changed(&mut self, now: Timestamp) -> Turn {
        let fresh = Stay::Inside { told: now, is_due: false };
        match &mut self.stay {
            Stay::Outside => {
                self.stay = fresh;
                Turn::Enter
            }
            Stay::Inside { told, .. } if *told <= now.saturating_sub(REST) => {
                self.stay = fresh;
                Turn::Update
            }
            Stay::Inside { is_due, .. } => {
                *is_due = true;
                Turn::Nothing
            }
            Stay::PutOut => Turn::Nothing,
        }
    }

    /// Whether the room is to be told now of what has changed a while ago.
    fn is_due(&mut self, now: Timestamp) -> bool {
        matches!(self.stay, Stay::Inside { is_due: true, .. }) && self.changed(now) == Turn::Update
    }

    fn is_inside(&self) -> bool {
        matches!(self.stay, Stay::Inside { .. })
    }
}

impl Calls {
    /// A mediated invitation (XEP-0045, section 7.8.2): the room has decided who may invite. Whether
    /// it was one.
    pub(super) async fn invited(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> bool {
        let invite = stanza.child("x", ns::MUC_USER).and_then(|x| x.child("invite", ns::MUC_USER));
        let (Some(_), Some(from), Some(to)) = (invite, &stanza.from, &stanza.to) else {
            return false;
        };
        let room = from.bare();
        // Only its own one.
        if self.focus(&room).is_none_or(|own| own != to.bare()) {
            return false;
        }
        let entering = {
            let conferences = self.conferences.lock();
            let mut inside = self.inside.lock();
            let visit = inside.entry(room.clone()).or_default();
            visit.invited = true;
            if visit.stay == Stay::PutOut {
                visit.stay = Stay::Outside;
            }
            let roster = conferences.get(&room).and_then(Conference::public_roster);
            match visit.changed(kernel.clock.now()) {
                Turn::Enter => self.entrance(&room, roster),
                Turn::Update | Turn::Nothing => None,
            }
        };
        if let Some(presence) = entering {
            kernel.route(presence).await;
        }
        true
    }

    pub(super) fn is_inside(&self, room: &BareJid) -> bool {
        self.inside.lock().get(room).is_some_and(Visit::is_inside)
    }

    /// What a room is told after the roster of its conference has changed.
    pub(super) fn shown(
        &self,
        now: Timestamp,
        place: &BareJid,
        conference: &Conference,
    ) -> Option<Stanza> {
        self.focus(place)?;
        let mut inside = self.inside.lock();
        match inside.entry(place.clone()).or_default().changed(now) {
            Turn::Enter => self.entrance(place, conference.public_roster()),
            Turn::Update => {
                self.presence(place, PresenceType::Available, conference.public_roster())
            }
            Turn::Nothing => None,
        }
    }

    /// The same when the conference is over: who was not invited goes.
    pub(super) fn shown_no_more(&self, place: &BareJid) -> Option<Stanza> {
        let mut inside = self.inside.lock();
        let visit = inside.get_mut(place)?;
        if visit.invited
            && let Stay::Inside { is_due, .. } = &mut visit.stay
        {
            *is_due = false;
            return self.presence(place, PresenceType::Available, None);
        }
        let was_inside = visit.is_inside();
        inside.remove(place);
        was_inside.then(|| self.presence(place, PresenceType::Unavailable, None)).flatten()
    }

    /// A room that only the focus is in would never end.
    pub(super) async fn leave_if_alone(&self, kernel: &Arc<Kernel>, room: &BareJid) {
        let others = self.muc.company(room).into_iter();
        let mut others =
            others.filter(|one| self.focus(room).is_none_or(|own| one.jid.bare() != own));
        if others.next().is_none() && self.inside.lock().remove(room).is_some() {
            let leaving = self.presence(room, PresenceType::Unavailable, None);
            if let Some(presence) = leaving {
                kernel.route(presence).await;
            }
        }
    }

    /// The room does not want the focus, or not any more.
    pub(super) fn heard_room(&self, from: &Jid, to: &Jid, stanza: &Stanza) {
        let is_out = match stanza.presence_type() {
            Some(PresenceType::Error) => true,
            // What it did itself it knows.
            Some(PresenceType::Unavailable) => parted(std::slice::from_ref(stanza))
                .first()
                .is_some_and(|(_, why)| *why != Parted::Left),
            _ => false,
        };
        let room = from.bare();
        if !is_out || self.focus(&room).is_none_or(|own| own != to.bare()) {
            return;
        }
        let conferences = self.conferences.lock();
        let mut inside = self.inside.lock();
        match inside.get_mut(&room) {
            Some(visit) if conferences.contains_key(&room) => {
                *visit = Visit { invited: false, stay: Stay::PutOut };
            }
            _ => drop(inside.remove(&room)),
        }
    }

    /// How the focus comes in: it wants to hear nothing of what was said before.
    fn entrance(&self, room: &BareJid, roster: Option<Element>) -> Option<Stanza> {
        let history = Element::new("history", ns::MUC).with_attr("maxstanzas", "0");
        let join = Element::new("x", ns::MUC).with_child(history);
        let presence = self.presence(room, PresenceType::Available, roster)?;
        Some(presence.with_child(join))
    }

    fn presence(
        &self,
        room: &BareJid,
        type_: PresenceType,
        payload: Option<Element>,
    ) -> Option<Stanza> {
        let focus = self.focus(room)?.with_resource(NICK).ok()?;
        let caps = caps().map(|caps| caps.to_element());
        let presence = Stanza::presence(type_)
            .with_from(focus)
            .with_to(room.with_resource(NICK).ok()?)
            .with_children(caps.into_iter().chain(payload));
        Some(presence)
    }
}

/// Tells rooms of changes that came too soon after others.
pub struct Rosters(pub Arc<Calls>);

#[async_trait]
impl Chore for Rosters {
    fn first_run(&self) -> Duration {
        REST
    }

    fn interval(&self) -> Duration {
        REST
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let Rosters(calls) = self;
        let due: Vec<Stanza> = {
            let conferences = calls.conferences.lock();
            let (mut inside, now) = (calls.inside.lock(), kernel.clock.now());
            let due = inside.iter_mut().filter_map(|(room, visit)| {
                let conference = conferences.get(room)?;
                visit.is_due(now).then_some((room, conference))
            });
            due.filter_map(|(room, conference)| {
                calls.presence(room, PresenceType::Available, conference.public_roster())
            })
            .collect()
        };
        for presence in due {
            kernel.route(presence).await;
        }
    }
}

/// What the focus can do, in short.
pub fn caps() -> Option<Caps> {
    let ver = verification_string(&focus::info(), CapsHash::Sha1).ok()?;
    let hash = Some(CapsHash::Sha1.name().to_owned());
    Some(Caps { node: NODE.to_owned(), ver, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_told_as_one() {
        let at = |millis: i64| Timestamp::from_secs(100).plus_micros(millis * 1000);
        let mut visit = Visit::default();
        assert_eq!(visit.changed(at(0)), Turn::Enter);
        assert!(!visit.is_due(at(5000)), "nothing has changed");
        assert_eq!(visit.changed(at(10)), Turn::Nothing);
        assert_eq!(visit.changed(at(20)), Turn::Nothing);
        assert!(!visit.is_due(at(999)));
        assert!(visit.is_due(at(1000)));
        assert!(!visit.is_due(at(5000)));
        assert_eq!(visit.changed(at(5000)), Turn::Update);
    }

    #[test]
    fn who_was_put_out_stays_out() {
        let mut visit = Visit { invited: false, stay: Stay::PutOut };
        assert_eq!(visit.changed(Timestamp::from_secs(100)), Turn::Nothing);
        assert!(!visit.is_due(Timestamp::from_secs(200)));
    }
}
