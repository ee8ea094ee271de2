//! Features that follow what happens in rooms without being part of them, such as calls.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use super::Muc;
use super::registry::Live;
use super::room::{Effects, Role, Room};

#[async_trait]
pub(crate) trait RoomWatch: Send + Sync {
    /// Whether it wants to know of this room's changes.
    fn watches(&self, room: &BareJid) -> bool;

    /// Where the calls of a room are.
    fn focus(&self, room: &BareJid) -> Option<BareJid>;

    /// What rooms can do by them.
    fn features(&self) -> &'static [&'static str];

    /// Something has happened, and these devices have gone with it. Nobody holds the room's lock.
    async fn changed(&self, kernel: &Arc<Kernel>, room: &BareJid, parted: Vec<(FullJid, Parted)>);

    /// A request of a call (XEP-0166) has come to the room's own address; answers it.
    async fn called(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError>;
}

/// Why a device is in a room no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parted {
    Left,
    /// Kicked, banned, or not among those who may be there any more.
    Removed,
    Destroyed,
    ShutDown,
}

/// A device in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    pub jid: FullJid,
    /// `room@service/nick`.
    pub occupant: FullJid,
    /// May be heard (section 5.1).
    pub voice: bool,
    pub moderates: bool,
    /// Is told real addresses.
    pub sees_addresses: bool,
    /// Says that it is in a call (XEP-0272).
    pub shows_call: bool,
    /// What its client is (XEP-0115), as far as it says so.
    pub client: Option<String>,
}

impl Muc {
    /// The first one counts.
    pub(crate) fn watch(&self, watcher: Weak<dyn RoomWatch>) {
        let _ = self.watcher.set(watcher);
    }

    /// Everybody who is in a room now; nobody is in a room that is not in memory.
    pub(crate) fn company(&self, room: &BareJid) -> Vec<Present> {
        let Some(live) = self.rooms.get(room.as_str()) else { return Vec::new() };
        let state = live.state.lock();
        let room = &state.room;
        let devices = room.occupants().flat_map(|occupant| {
            let sees_addresses = room.sees_addresses(occupant);
            occupant.devices.iter().map(move |device| Present {
                jid: device.jid.clone(),
                occupant: occupant.jid.clone(),
                voice: occupant.role >= Role::Participant,
                moderates: occupant.role == Role::Moderator,
                sees_addresses,
                shows_call: device.presence.has_child("muji", ns::MUJI),
                client: client(&device.presence),
            })
        });
        devices.collect()
    }

    pub(crate) async fn is_room(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
    ) -> Result<bool, StanzaError> {
        Ok(self.find(kernel, room).await?.is_some())
    }

    /// Whether only members may be in a room that somebody is in.
    pub(crate) fn is_for_members(&self, room: &BareJid) -> bool {
        let live = self.rooms.get(room.as_str());
        live.is_some_and(|live| live.state.lock().room.config.members_only)
    }

    /// Says something to everybody in the name of the room. `by` has caused it, and is not woken.
    /// Returns the id by which it is known (XEP-0359), unless the room keeps nothing: then it is
    /// not said.
    pub(crate) async fn announce(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        by: &Jid,
        message: Stanza,
    ) -> Result<Option<String>, StanzaError> {
        let announce = |room: &mut Room, fx: &mut Effects| {
            if !(kernel.config.archive.enabled && room.config.archive) {
                return Ok(None);
            }
            let now = kernel.clock.now();
            let id = kernel.store.archive_ids.next(now);
            room.announce(message.clone(), Some((id, now)), fx);
            Ok(Some(id.to_string()))
        };
        let id = self.run(kernel, room, None, announce).await?.value;
        if id.is_some() {
            self.wake_absent(kernel, room, by, &message);
        }
        Ok(id)
    }

    /// A request of a call to the room itself, if there are calls.
    pub(super) async fn call(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError> {
        let watcher = self.watcher.get().and_then(Weak::upgrade);
        let watcher = watcher.ok_or_else(|| StanzaError::service_unavailable(""))?;
        watcher.called(kernel, stanza, session).await
    }

    pub(super) fn watcher_of(&self, live: &Arc<Live>) -> Option<Arc<dyn RoomWatch>> {
        let watcher = self.watcher.get()?.upgrade()?;
        let room = live.state.lock().room.jid.clone();
        watcher.watches(&room).then_some(watcher)
    }

    pub(super) fn focus(&self, room: &BareJid) -> Option<BareJid> {
        self.watcher.get()?.upgrade()?.focus(room)
    }

    /// Tells where the calls of a room are, as clients of voice.channel look for it.
    pub(super) fn describe_calls(&self, room: &BareJid, info: &mut DiscoInfo) {
        let Some(watcher) = self.watcher.get().and_then(Weak::upgrade) else { return };
        let Some(focus) = watcher.focus(room) else { return };
        let field = Field::text_single("conference", "Calls").with_value(focus.to_string());
        info.forms.push(DataForm::typed(FormKind::Result, ns::VOICE).with(field));
        info.features.extend(watcher.features().iter().map(|feature| (*feature).to_owned()));
    }
}

fn client(presence: &Stanza) -> Option<String> {
    presence.child("c", ns::CAPS)?.attr("node").map(str::to_owned)
}

/// Who is told by this that it is out, and why (section 7.14 and those on kicks, bans and the end
/// of a room).
pub(crate) fn parted(out: &[Stanza]) -> Vec<(FullJid, Parted)> {
    let gone = out.iter().filter(|stanza| {
        stanza.kind == Kind::Presence && stanza.presence_type() == Some(PresenceType::Unavailable)
    });
    let why = gone.filter_map(|stanza| {
        let x = stanza.child("x", ns::MUC_USER)?;
        let codes: Vec<&str> = x
            .children()
            .filter(|child| child.is("status", ns::MUC_USER))
            .filter_map(|status| status.attr("code"))
            .collect();
        // Its own presence, but not a new nickname.
        if !codes.contains(&"110") || codes.contains(&"303") {
            return None;
        }
        let any = |of: &[&str]| codes.iter().any(|code| of.contains(code));
        let why = if x.child("destroy", ns::MUC_USER).is_some() {
            Parted::Destroyed
        } else if any(&["332"]) {
            Parted::ShutDown
        } else if any(&["301", "307", "321", "322"]) {
            Parted::Removed
        } else {
            Parted::Left
        };
        Some((FullJid::try_from(stanza.to.clone()?).ok()?, why))
    });
    why.collect()
}

#[cfg(test)]
mod tests {
    use wello_wire::xml::Element;

    use super::*;

    #[test]
    fn the_status_tells_why_somebody_is_gone() {
        let told = |codes: &[&str], destroyed: bool| {
            let status =
                |code: &&str| Element::new("status", ns::MUC_USER).with_attr("code", *code);
            let destroy = destroyed.then(|| Element::new("destroy", ns::MUC_USER));
            let x = Element::new("x", ns::MUC_USER)
                .with_children(destroy)
                .with_children(codes.iter().map(status));
            let to: FullJid = "juliet@capulet.example/balcony".parse().unwrap();
            let stanza = Stanza::presence(PresenceType::Unavailable).with_to(to).with_child(x);
            parted(&[stanza]).first().map(|(_, why)| *why)
        };
        assert_eq!(told(&["110"], false), Some(Parted::Left));
        assert_eq!(told(&["110", "307"], false), Some(Parted::Removed));
        assert_eq!(told(&["110", "307", "333"], false), Some(Parted::Removed));
        assert_eq!(told(&["110", "332"], false), Some(Parted::ShutDown));
        assert_eq!(told(&["110"], true), Some(Parted::Destroyed));
        assert_eq!(told(&["110", "303"], false), None);
        assert_eq!(told(&["307"], false), None);
    }
}
