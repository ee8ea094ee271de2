//! Entering a room, changing the nickname and presence there (XEP-0045, sections 7.2, 7.6, 7.7).

use std::cell::RefCell;

use wello_kernel::lookalike::shape;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::affiliations::Diff;
use super::build::{self, Item, News};
use super::config::Whois;
use super::guests::{MARK, Pass};
use super::roles::default_role;
use super::{Affiliation, Device, Effects, Occupant, Role, Room, Shown};

/// Of a nickname that nobody else has.
const MAX_NUMBER: u32 = 99;

/// Somebody at the door.
#[derive(Clone, Debug)]
pub struct Entering {
    pub from: FullJid,
    pub nick: String,
    /// Without what only the room may say.
    pub presence: Stanza,
    pub password: Password,
    /// What somebody without an account comes in by.
    pub pass: Option<Pass>,
    pub history: HistoryWish,
    /// `Some` asks for affiliations since a version (XEP-0463).
    pub mav: Option<Option<String>>,
    /// It is the focus of the room's own calls.
    pub is_focus: bool,
}

/// What is known of the password that somebody gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Password {
    Missing,
    Wrong,
    /// It matches this hash.
    Matches(String),
}

/// What somebody wants to see of what was said before (section 7.2.14).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryWish {
    pub max_chars: Option<usize>,
    pub max_stanzas: Option<usize>,
    pub since: Option<Timestamp>,
}

impl Room {
    /// Lets somebody in, or says why not (section 7.2). `now` is when history is counted from.
    pub fn enter(&mut self, entering: &Entering, fx: &mut Effects) -> Result<(), StanzaError> {
        let account = entering.from.bare();
        self.admit(&account, entering)?;
        let known = self.nicks.get(&account).cloned();
        let is_new = known.is_none();
        let nick = match known {
            Some(nick) => nick,
            None if entering.is_focus => self.numbered_nick(&account, &entering.nick)?,
            None => entering.nick.as_str().into(),
        };
        if is_new {
            self.seat(&account, &nick, entering)?;
        }
        let changed = self.put_device(&nick, &entering.from, &entering.presence);
        self.send_affiliations(entering, fx);
        self.send_presences(&nick, &entering.from, fx);
        if is_new || changed {
            self.tell_presence(&nick, None, fx);
        }
        self.send_own(&nick, entering, fx);
        self.send_history(&entering.from, &entering.history, fx);
        self.send_subject(&entering.from, fx);
        Ok(())
    }

    fn admit(&self, account: &BareJid, entering: &Entering) -> Result<(), StanzaError> {
        let affiliation = self.affiliation_at_door(account, entering.pass.as_ref())?;
        if affiliation == Affiliation::Outcast {
            return Err(StanzaError::forbidden("banned from this room"));
        }
        // It follows those who are here: no rule for guests is meant for it.
        if entering.is_focus {
            return Ok(());
        }
        if self.locked && affiliation != Affiliation::Owner {
            return Err(StanzaError::item_not_found("this room is not configured yet"));
        }
        let is_here = self.nicks.contains_key(account);
        if self.config.members_only && affiliation < Affiliation::Member {
            return Err(StanzaError::registration_required("only for members"));
        }
        if let Some(hash) = self.config.password()
            && !is_here
            && affiliation != Affiliation::Owner
            && !self.invited.contains(account)
            && entering.pass.is_none()
            && entering.password != Password::Matches(hash.to_owned())
        {
            return Err(StanzaError::not_authorized("a password is needed"));
        }
        if is_here {
            return Ok(());
        }
        self.check_nick(account, &entering.nick)?;
        // Section 7.2.9: admins and owners always find room.
        if self.occupant_count() >= self.capacity() && affiliation < Affiliation::Admin {
            return Err(StanzaError::service_unavailable("the room is full"));
        }
        Ok(())
    }

    /// Occupants that may be here.
    pub fn capacity(&self) -> usize {
        let most = self.limits.occupants;
        match self.config.max_users {
            0 => most,
            max => most.min(max as usize),
        }
    }

    fn check_nick(&self, account: &BareJid, nick: &str) -> Result<(), StanzaError> {
        if nick.trim().is_empty() || nick.len() > self.limits.nick_bytes {
            return Err(StanzaError::not_acceptable("no nickname that can be used here"));
        }
        if self.occupants.get(nick).is_some_and(|other| other.account != *account) {
            return Err(StanzaError::conflict("the nickname is in use"));
        }
        if self.owner_of_nick(nick).is_some_and(|owner| owner != account) {
            return Err(StanzaError::conflict("the nickname is reserved"));
        }
        if self.shapes.get(&shape(nick)).is_some_and(|other| other != account) {
            return Err(StanzaError::conflict("the nickname looks like that of somebody here"));
        }
        Ok(())
    }

    /// The nickname that is wanted, or else with a number behind it.
    fn numbered_nick(&self, account: &BareJid, wanted: &str) -> Result<Box<str>, StanzaError> {
        let numbered = (2..=MAX_NUMBER).map(|number| format!("{wanted} {number}"));
        let mut nicks = std::iter::once(wanted.to_owned()).chain(numbered);
        let free = nicks.find(|nick| self.check_nick(account, nick).is_ok());
        free.map(Into::into).ok_or_else(|| StanzaError::conflict("all nicknames are in use"))
    }

    fn seat(
        &mut self,
        account: &BareJid,
        nick: &str,
        entering: &Entering,
    ) -> Result<(), StanzaError> {
        let jid = self.jid.with_resource(nick)?;
        self.guests.extend(entering.pass.as_ref().map(|pass| (account.clone(), pass.clone())));
        let affiliation = self.affiliation(account.as_str());
        let role = match entering.is_focus {
            true => Role::Participant,
            false => default_role(&self.config, affiliation),
        };
        if entering.is_focus {
            self.focus = Some(account.clone());
        }
        let occupant = Occupant {
            jid,
            account: account.clone(),
            role,
            devices: Vec::new(),
            id: self.occupant_id(account),
            shown: RefCell::default(),
        };
        self.nicks.insert(account.clone(), nick.into());
        self.shapes.insert(shape(nick), account.clone());
        self.occupants.insert(nick.into(), occupant);
        Ok(())
    }

    /// Whether what the others see has changed.
    fn put_device(&mut self, nick: &str, jid: &FullJid, presence: &Stanza) -> bool {
        let Some(occupant) = self.occupants.get_mut(nick) else { return false };
        occupant.shown.take();
        let before = occupant.devices.iter().position(|device| device.jid == *jid);
        let device = Device { jid: jid.clone(), presence: presence.clone() };
        let changed = match before {
            Some(place) => {
                let before = occupant.devices.remove(place);
                !before.presence.children().eq(presence.children())
            }
            None => true,
        };
        // The last one is the one that others see.
        occupant.devices.push(device);
        changed
    }

    /// Section 7.2.2: who is there already.
    fn send_presences(&self, own_nick: &str, to: &FullJid, fx: &mut Effects) {
        let Some(viewer) = self.occupants.get(own_nick) else { return };
        let with_jid = self.sees_addresses(viewer);
        for other in self.occupants.values().filter(|other| other.nick() != own_nick) {
            if !self.broadcasts(other.role) {
                continue;
            }
            if let Some(presence) = self.shown(other, with_jid) {
                fx.out.push(presence.with_to(to.clone()));
            }
        }
    }

    /// What somebody who enters is told of an occupant. Made once for all who enter while nothing
    /// changes: a room that fills up says it to each of them.
    fn shown(&self, occupant: &Occupant, with_jid: bool) -> Option<Stanza> {
        let (version, role) = (self.version, occupant.role);
        let affiliation = self.affiliation(occupant.account.as_str());
        let mut shown = occupant.shown.borrow_mut();
        let known = shown.as_ref().filter(|shown| {
            (shown.version, shown.role, shown.affiliation, shown.with_jid)
                == (version, role, affiliation, with_jid)
        });
        if let Some(known) = known {
            return Some(known.presence.clone());
        }
        let presence = self.presence_news(occupant)?.stanza(with_jid, &[]);
        *shown = Some(Shown { version, role, affiliation, with_jid, presence: presence.clone() });
        Some(presence)
    }

    fn presence_news<'a>(&self, occupant: &'a Occupant) -> Option<News<'a>> {
        let device = occupant.devices.last()?;
        let mut base = device.presence.clone();
        base = base.with_child(build::occupant_id(&occupant.id));
        if self.is_guest(&occupant.account) {
            base = base.with_child(Element::new(MARK, ns::GUESTS));
        }
        if let Some(hats) = self.config.hats.element(&occupant.account) {
            base = base.with_child(hats);
        }
        Some(News::new(occupant.jid.clone(), base, self.item(occupant)))
    }

    /// Tells everybody but the occupant itself of its presence; `change` says why.
    pub(super) fn tell_presence(&self, nick: &str, change: Option<Told<'_>>, fx: &mut Effects) {
        let Some(occupant) = self.occupants.get(nick) else { return };
        let Some(mut news) = self.presence_news(occupant) else { return };
        let change = change.unwrap_or_default();
        news.item.actor = change.actor;
        news.item.reason = change.reason;
        news.mav = change.mav;
        if self.broadcasts(occupant.role) || change.always {
            self.tell(&news, Some(nick), fx);
        }
        if change.and_self {
            let devices = occupant.devices.iter().map(|device| &device.jid);
            self.tell_self(&news, self.sees_addresses(occupant), devices, &[], fx);
        }
    }

    /// The presence that ends the list of presences.
    fn send_own(&self, nick: &str, entering: &Entering, fx: &mut Effects) {
        let Some(occupant) = self.occupants.get(nick) else { return };
        let Some(news) = self.presence_news(occupant) else { return };
        let mut codes = Vec::new();
        if self.config.whois == Whois::Anyone {
            codes.push(100);
        }
        if self.config.public_log {
            codes.push(170);
        }
        if self.locked {
            codes.push(201);
        }
        if nick != entering.nick {
            codes.push(210);
        }
        let place = fx.out.len();
        let with_jid = self.sees_addresses(occupant);
        self.tell_self(&news, with_jid, [&entering.from], &codes, fx);
        if entering.mav.is_some() && self.may_list(&entering.from, Affiliation::Member) {
            let until =
                Element::new("mav", ns::MUC_AFFILIATIONS).with_attr("until", self.mav_now());
            let own = fx.out.drain(place..).map(|own| with_mav(own, &until)).collect::<Vec<_>>();
            fx.out.extend(own);
        }
        // Its other devices see each other, too.
        let others = occupant.devices.iter().map(|device| &device.jid);
        let others = others.filter(|device| **device != entering.from);
        self.tell_self(&news, with_jid, others, &[], fx);
    }

    /// XEP-0463, section 5.2.1.
    fn send_affiliations(&self, entering: &Entering, fx: &mut Effects) {
        let Some(since) = &entering.mav else { return };
        let message = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_to(entering.from.clone());
        if !self.may_list(&entering.from, Affiliation::Member) {
            let error = StanzaError::forbidden("not for you").with_by(self.jid.clone());
            let error = error.to_element(ns::CLIENT);
            fx.out.push(message.with_type("error").with_child(error));
            return;
        }
        let (since, items) = match self.diff(since.as_deref()) {
            Diff::Nothing => return,
            Diff::Since(items) => (since.clone(), items),
            Diff::Full(items) => (None, items),
        };
        let see_outcasts = self.may_list(&entering.from, Affiliation::Outcast);
        let items =
            items.into_iter().filter(|(_, kind)| see_outcasts || *kind != Affiliation::Outcast);
        let items = items.map(|(jid, affiliation)| {
            Element::new("item", ns::MUC_USER)
                .with_attr("jid", jid.as_str())
                .with_attr("affiliation", affiliation.as_str())
        });
        let mav = Element::new("mav", ns::MUC_AFFILIATIONS)
            .with_attr_opt("since", since)
            .with_attr("until", self.mav_now());
        let x = Element::new("x", ns::MUC_USER).with_child(mav).with_children(items);
        // Type normal is written by leaving the type out.
        let mut message = message.with_child(x);
        message.type_ = None;
        fx.out.push(message);
    }

    /// A presence from who is here: another nickname, or news of itself.
    pub fn update(
        &mut self,
        from: &FullJid,
        nick: &str,
        presence: &Stanza,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let Some(occupant) = self.occupant_of(from) else {
            fx.out.push(self.not_here(from, nick));
            return Ok(());
        };
        let old: Box<str> = occupant.nick().into();
        // The focus goes by whatever the room calls it.
        if &*old == nick || self.focus.as_ref() == Some(&from.bare()) {
            self.put_device(&old, from, presence);
            self.tell_presence(&old, Some(Told { and_self: true, ..Told::default() }), fx);
            return Ok(());
        }
        self.check_nick(&from.bare(), nick)?;
        if self.config.moderated && occupant.role == Role::Visitor {
            return Err(StanzaError::not_acceptable("visitors keep their nickname here"));
        }
        self.rename(&old, nick, from, presence, fx)
    }

    fn rename(
        &mut self,
        old: &str,
        nick: &str,
        from: &FullJid,
        presence: &Stanza,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let jid = self.jid.with_resource(nick)?;
        let Some(mut occupant) = self.occupants.remove(old) else { return Ok(()) };
        // Section 7.6: the old name goes, with the new one in the item.
        let base = build::unavailable().with_child(build::occupant_id(&occupant.id));
        let item = Item { nick: Some(nick), ..self.item(&occupant) };
        let mut news = News::new(occupant.jid.clone(), base, item);
        news.codes = &[303];
        if self.broadcasts(occupant.role) {
            self.tell(&news, None, fx);
        }
        let with_jid = self.sees_addresses(&occupant);
        let devices = occupant.devices.iter().map(|device| &device.jid);
        self.tell_self(&news, with_jid, devices, &[], fx);
        occupant.jid = jid;
        self.shapes.remove(&shape(old));
        self.shapes.insert(shape(nick), occupant.account.clone());
        self.nicks.insert(occupant.account.clone(), nick.into());
        self.occupants.insert(nick.into(), occupant);
        self.put_device(nick, from, presence);
        self.tell_presence(nick, Some(Told { and_self: true, ..Told::default() }), fx);
        Ok(())
    }

    /// Section 7.2.17: whoever believes to be here is told otherwise.
    pub fn not_here(&self, from: &FullJid, nick: &str) -> Stanza {
        not_here(&self.jid, from, nick)
    }
}

/// What is told along with a presence.
#[derive(Default)]
pub struct Told<'a> {
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub mav: Option<(String, String)>,
    /// The occupant itself, too.
    pub and_self: bool,
    /// Even when presence of its role is not broadcast.
    pub always: bool,
}

/// The answer to somebody who believes to be in the room.
pub fn not_here(room: &Jid, from: &FullJid, nick: &str) -> Stanza {
    let item = Element::new("item", ns::MUC_USER)
        .with_attr("affiliation", "none")
        .with_attr("role", "none")
        .with_child(Element::new("reason", ns::MUC_USER).with_text("You are not in the room."));
    let x = Element::new("x", ns::MUC_USER)
        .with_child(item)
        .with_children([110, 307, 333].map(build::status));
    let mut stanza = build::unavailable().with_to(from.clone()).with_child(x);
    stanza.from = room.with_resource(nick).ok().map(Jid::from);
    stanza
}

fn with_mav(mut own: Stanza, mav: &Element) -> Stanza {
    own.edit(|nodes| {
        for node in nodes {
            if let wello_wire::xml::Node::Element(x) = node
                && x.is("x", ns::MUC_USER)
            {
                x.push(mav.clone());
            }
        }
    });
    own
}
