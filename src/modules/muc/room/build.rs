//! The stanzas of a room.

use base64::Engine as _;
use sha2::{Digest, Sha256};
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::{Affiliation, Effects, Occupant, Role, Room};

/// What the room says of an occupant (`<item/>`).
#[derive(Clone, Debug, Default)]
pub struct Item<'a> {
    pub affiliation: Affiliation,
    pub role: Option<Role>,
    /// The real address; left out for those who may not know it.
    pub jid: Option<&'a Jid>,
    pub nick: Option<&'a str>,
    /// Nickname of who did it.
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
}

impl Item<'_> {
    fn to_element(&self, with_jid: bool) -> Element {
        let role = self.role.map_or("none", Role::name);
        let child = |name: &str| Element::new(name.to_owned(), ns::MUC_USER);
        Element::new("item", ns::MUC_USER)
            .with_attr("affiliation", self.affiliation.as_str())
            .with_attr("role", role)
            .with_attr_opt("jid", self.jid.filter(|_| with_jid).map(Jid::as_str))
            .with_attr_opt("nick", self.nick)
            .with_children(self.actor.map(|nick| child("actor").with_attr("nick", nick)))
            .with_children(self.reason.map(|reason| child("reason").with_text(reason)))
    }
}

/// A presence that goes to many.
pub struct News<'a> {
    pub from: FullJid,
    /// Type and children, without what the room says.
    pub base: Stanza,
    pub item: Item<'a>,
    pub codes: &'a [u16],
    /// Versions of the affiliations before and after (XEP-0463).
    pub mav: Option<(String, String)>,
    pub destroy: Option<Element>,
}

impl<'a> News<'a> {
    pub fn new(from: FullJid, base: Stanza, item: Item<'a>) -> News<'a> {
        News { from, base, item, codes: &[], mav: None, destroy: None }
    }

    pub fn stanza(&self, with_jid: bool, more: &[u16]) -> Stanza {
        let mav = self.mav.as_ref().map(|(since, until)| {
            Element::new("mav", ns::MUC_AFFILIATIONS)
                .with_attr("since", since.as_str())
                .with_attr("until", until.as_str())
        });
        let x = Element::new("x", ns::MUC_USER)
            .with_children(mav)
            .with_child(self.item.to_element(with_jid))
            .with_children(self.destroy.clone())
            .with_children(self.codes.iter().chain(more).map(|code| status(*code)));
        self.base.clone().with_from(self.from.clone()).with_child(x)
    }
}

pub fn status(code: u16) -> Element {
    Element::new("status", ns::MUC_USER).with_attr("code", code.to_string())
}

pub fn unavailable() -> Stanza {
    Stanza::presence(PresenceType::Unavailable)
}

/// `<x xmlns='…muc#user'/>` with status codes.
pub fn codes(codes: &[u16]) -> Element {
    Element::new("x", ns::MUC_USER).with_children(codes.iter().map(|code| status(*code)))
}

impl Room {
    /// Tells the occupants but `except`.
    pub fn tell(&self, news: &News<'_>, except: Option<&str>, fx: &mut Effects) {
        let (mut open, mut closed) = (None, None);
        for viewer in self.occupants.values().filter(|viewer| Some(viewer.nick()) != except) {
            let stanza = match self.sees_addresses(viewer) {
                true => open.get_or_insert_with(|| news.stanza(true, &[])),
                false => closed.get_or_insert_with(|| news.stanza(false, &[])),
            };
            for device in &viewer.devices {
                fx.out.push(stanza.clone().with_to(device.jid.clone()));
            }
        }
    }

    /// Tells the devices of the one whom it is about, with status 110 and more.
    pub fn tell_self<'d>(
        &self,
        news: &News<'_>,
        with_jid: bool,
        devices: impl IntoIterator<Item = &'d FullJid>,
        more: &[u16],
        fx: &mut Effects,
    ) {
        let codes: Vec<u16> = [110].iter().chain(more).copied().collect();
        let stanza = news.stanza(with_jid, &codes);
        fx.out.extend(devices.into_iter().map(|device| stanza.clone().with_to(device.clone())));
    }

    /// Sends a message of the room to everybody.
    pub fn tell_message(&self, message: &Stanza, fx: &mut Effects) {
        for occupant in self.occupants.values() {
            for device in &occupant.devices {
                fx.out.push(message.clone().with_to(device.jid.clone()));
            }
        }
    }

    /// The same id for an account whenever it comes, which tells nobody which account it is
    /// (XEP-0421, section 4.1).
    pub fn occupant_id(&self, account: &BareJid) -> String {
        let mut hash = Sha256::new();
        for part in
            [&self.secret[..], self.jid.as_str().as_bytes(), b"\0", account.as_str().as_bytes()]
        {
            hash.update(part);
        }
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.finalize()[..24])
    }

    pub(super) fn item<'a>(&self, occupant: &'a Occupant) -> Item<'a> {
        Item {
            affiliation: self.affiliation(occupant.account.as_str()),
            role: Some(occupant.role),
            jid: occupant.devices.last().map(|device| &*device.jid),
            ..Item::default()
        }
    }
}

/// XEP-0421, section 3.
pub fn occupant_id(id: &str) -> Element {
    Element::new("occupant-id", ns::OCCUPANT_ID).with_attr("id", id)
}
