//! The focus as an occupant of rooms that have invited it. There clients such as Movim look for it,
//! and its presence tells who is in the conference (RFC 4575).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::caps::{Caps, CapsHash, verification_string};
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::conference::Conference;
use super::{Calls, focus};
use crate::muc::RoomWatch;

/// Names the software (XEP-0115, section 4).
const NODE: &str = "urn:wello:calls";
/// The nickname of the focus, and the resource that it is there with.
const NICK: &str = "Calls";

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
        self.inside.lock().insert(room.clone());
        let entering = Element::new("x", ns::MUC);
        let entering = self.presence(&room, PresenceType::Available, Some(entering));
        if let Some(presence) = entering {
            kernel.route(presence).await;
        }
        true
    }

    pub(super) fn is_inside(&self, room: &BareJid) -> bool {
        self.inside.lock().contains(room)
    }

    /// The roster, for a room that the focus is in.
    pub(super) fn shown(&self, place: &BareJid, conference: &Conference) -> Option<Stanza> {
        let inside = self.is_inside(place);
        let presence = || self.presence(place, PresenceType::Available, conference.public_roster());
        inside.then(presence).flatten()
    }

    /// A room that only the focus is in would never end.
    pub(super) async fn leave_if_alone(&self, kernel: &Arc<Kernel>, room: &BareJid) {
        let others = self.muc.company(room).into_iter();
        let mut others =
            others.filter(|one| self.focus(room).is_none_or(|own| one.jid.bare() != own));
        if others.next().is_none() && self.inside.lock().remove(room) {
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
            Some(PresenceType::Unavailable) => stanza.child("x", ns::MUC_USER).is_some_and(is_own),
            _ => false,
        };
        let room = from.bare();
        if is_out && self.focus(&room).is_some_and(|own| own == to.bare()) {
            self.inside.lock().remove(&room);
        }
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

/// Status 110: it is about the focus itself.
fn is_own(x: &Element) -> bool {
    x.children().any(|child| child.is("status", ns::MUC_USER) && child.attr("code") == Some("110"))
}

/// What the focus can do, in short.
pub fn caps() -> Option<Caps> {
    let ver = verification_string(&focus::info(), CapsHash::Sha1).ok()?;
    let hash = Some(CapsHash::Sha1.name().to_owned());
    Some(Caps { node: NODE.to_owned(), ver, hash })
}
