//! Leaving a room, by will or not (XEP-0045, sections 7.14, 8.2, 9.1, 10.9 and 11).

use std::collections::HashSet;

use wello_kernel::lookalike::shape;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::build::{self, Item, News};
use super::{Affiliation, Effects, Occupant, Room};

/// Why somebody is put out.
#[derive(Default)]
pub struct Removal<'a> {
    pub codes: &'a [u16],
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub mav: Option<(String, String)>,
    /// As what they are shown, if not as what they are.
    pub shown_as: Option<Affiliation>,
}

impl Room {
    /// A session goes; `farewell` is the presence with which it does.
    pub fn leave(&mut self, from: &Jid, farewell: &Stanza, codes: &[u16], fx: &mut Effects) {
        let Some(occupant) = self.occupant_of(from) else { return };
        let nick: Box<str> = occupant.nick().into();
        let Some(occupant) = self.occupants.get_mut(&nick) else { return };
        let was_seen = occupant.devices.last().is_some_and(|device| device.jid == *from);
        let Some(place) = occupant.devices.iter().position(|device| device.jid == *from) else {
            return;
        };
        let device = occupant.devices.remove(place);
        occupant.shown.take();
        let base = farewell.clone().with_child(build::occupant_id(&occupant.id));
        if !occupant.devices.is_empty() {
            self.leave_others(&nick, &device.jid, base, was_seen, fx);
            return;
        }
        let Some(occupant) = self.take(&nick) else { return };
        let item = Item { role: None, jid: Some(&device.jid), ..self.item(&occupant) };
        let mut news = News::new(occupant.jid.clone(), base, item);
        news.codes = codes;
        if self.broadcasts(occupant.role) {
            self.tell(&news, None, fx);
        }
        let with_jid = self.sees_addresses(&occupant);
        self.tell_self(&news, with_jid, [&device.jid], &[], fx);
    }

    /// One of several devices goes: the others stay, and so does the nickname.
    fn leave_others(
        &mut self,
        nick: &str,
        device: &FullJid,
        base: Stanza,
        was_seen: bool,
        fx: &mut Effects,
    ) {
        let Some(occupant) = self.occupants.get(nick) else { return };
        let item = Item { role: None, jid: Some(device), ..self.item(occupant) };
        let news = News::new(occupant.jid.clone(), base, item);
        self.tell_self(&news, self.sees_addresses(occupant), [device], &[], fx);
        if was_seen {
            self.tell_presence(nick, None, fx);
        }
    }

    fn take(&mut self, nick: &str) -> Option<Occupant> {
        let occupant = self.occupants.remove(nick)?;
        self.nicks.remove(&occupant.account);
        self.shapes.remove(&shape(nick));
        self.guests.remove(&occupant.account);
        self.focus.take_if(|focus| *focus == occupant.account);
        Some(occupant)
    }

    /// The service bans these accounts: they are shown as outcasts without being on the room's list.
    pub fn expel(&mut self, accounts: &HashSet<BareJid>, reason: &str, fx: &mut Effects) {
        let here = accounts.iter().filter_map(|account| self.nicks.get(account).cloned());
        for nick in here.collect::<Vec<_>>() {
            let why = Removal {
                codes: &[301],
                reason: Some(reason),
                shown_as: Some(Affiliation::Outcast),
                ..Removal::default()
            };
            self.remove(&nick, why, fx);
        }
    }

    /// Puts an occupant out with all devices.
    pub(super) fn remove(&mut self, nick: &str, why: Removal<'_>, fx: &mut Effects) {
        let Some(occupant) = self.take(nick) else { return };
        let base = build::unavailable().with_child(build::occupant_id(&occupant.id));
        let mut item =
            Item { role: None, actor: why.actor, reason: why.reason, ..self.item(&occupant) };
        item.affiliation = why.shown_as.unwrap_or(item.affiliation);
        let mut news = News::new(occupant.jid.clone(), base, item);
        news.codes = why.codes;
        news.mav = why.mav;
        let with_jid = self.sees_addresses(&occupant);
        let devices = occupant.devices.iter().map(|device| &device.jid);
        self.tell_self(&news, with_jid, devices, &[], fx);
        self.tell(&news, None, fx);
    }

    /// The account is no more: it leaves the room and its lists.
    pub fn forget(&mut self, account: &Jid, fx: &mut Effects) {
        self.affiliates.remove(account.bare_str());
        self.invited.remove(account.bare_str());
        if self.config.hats.worn.remove(account.bare_str()).is_some() {
            self.touch(fx);
        }
    }

    /// Ends the room for everybody in it (section 10.9).
    pub fn destroy(&mut self, destroy: &Element, fx: &mut Effects) {
        self.empty(&[], Some(destroy), fx);
        fx.destroyed = true;
    }

    /// The service goes down (section 11.2).
    pub fn shut_down(&mut self, fx: &mut Effects) {
        self.empty(&[332], None, fx);
    }

    fn empty(&mut self, codes: &[u16], destroy: Option<&Element>, fx: &mut Effects) {
        for occupant in std::mem::take(&mut self.occupants).into_values() {
            let item = Item::default();
            let mut news = News::new(occupant.jid.clone(), build::unavailable(), item);
            news.base = news.base.with_child(build::occupant_id(&occupant.id));
            news.codes = codes;
            news.destroy = destroy.cloned();
            let devices = occupant.devices.iter().map(|device| &device.jid);
            self.tell_self(&news, false, devices, &[], fx);
        }
        self.nicks.clear();
        self.shapes.clear();
        self.guests.clear();
        self.focus = None;
    }
}
