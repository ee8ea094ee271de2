//! What moderators, admins and owners change (XEP-0045, sections 8 to 10).

use std::collections::BTreeMap;

use wello_store::{ArchiveId, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::build::{self, Item};
use super::enter::Told;
use super::leave::Removal;
use super::roles::{may_set_affiliation, may_set_role, role_after};
use super::{Affiliation, Config, Effects, Role, Room};

/// One `<item/>` of a request to change something.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Role {
        nick: String,
        role: Option<Role>,
        reason: Option<String>,
    },
    Affiliation {
        jid: BareJid,
        affiliation: Affiliation,
        /// The nickname to be reserved; empty for none.
        nick: Option<String>,
        reason: Option<String>,
    },
}

impl Room {
    /// Makes all changes, or none.
    pub fn change(
        &mut self,
        actor: &Jid,
        changes: &[Change],
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        for change in changes {
            self.check(actor, change)?;
        }
        self.check_owners(changes)?;
        let actor = self.occupant_of_account(actor).map(|actor| actor.nick().to_owned());
        for change in changes {
            match change {
                Change::Role { nick, role, reason } => {
                    self.set_role(nick, *role, actor.as_deref(), reason.as_deref(), fx);
                }
                Change::Affiliation { jid, affiliation, nick, reason } => {
                    let nick = nick.as_deref();
                    self.set_affiliation(
                        jid,
                        *affiliation,
                        nick,
                        actor.as_deref(),
                        reason.as_deref(),
                        fx,
                    );
                }
            }
        }
        Ok(())
    }

    fn check(&self, actor: &Jid, change: &Change) -> Result<(), StanzaError> {
        let standing = self.standing(actor);
        match change {
            Change::Role { nick, role, .. } => {
                let target = self
                    .occupant(nick)
                    .ok_or_else(|| StanzaError::item_not_found("nobody has this nickname"))?;
                may_set_role(standing, self.standing(&target.account), *role)
            }
            Change::Affiliation { jid, affiliation, nick, .. } => {
                if self.is_guest(jid) {
                    let text = "a guest has no affiliation but that of the link";
                    return Err(StanzaError::not_allowed(text));
                }
                let before = self.affiliation(jid.as_str());
                let is_self = actor.bare_str() == jid.as_str();
                may_set_affiliation(standing.affiliation, is_self, before, *affiliation)?;
                let nick = nick.as_deref().filter(|nick| !nick.is_empty());
                if let Some(nick) = nick
                    && self.owner_of_nick(nick).is_some_and(|owner| owner != jid)
                {
                    return Err(StanzaError::conflict("the nickname is reserved"));
                }
                if before == Affiliation::None && self.affiliated() >= self.limits.affiliations {
                    return Err(StanzaError::resource_constraint("the lists are full"));
                }
                Ok(())
            }
        }
    }

    /// Section 10.6: there is always an owner.
    fn check_owners(&self, changes: &[Change]) -> Result<(), StanzaError> {
        let mut owners: BTreeMap<&BareJid, bool> =
            self.with_affiliation(Affiliation::Owner).map(|(jid, _)| (jid, true)).collect();
        if owners.is_empty() {
            return Ok(());
        }
        for change in changes {
            if let Change::Affiliation { jid, affiliation, .. } = change {
                owners.insert(jid, *affiliation == Affiliation::Owner);
            }
        }
        match owners.values().any(|stays| *stays) {
            true => Ok(()),
            false => Err(StanzaError::conflict("a room needs an owner")),
        }
    }

    pub(super) fn set_role(
        &mut self,
        nick: &str,
        role: Option<Role>,
        actor: Option<&str>,
        reason: Option<&str>,
        fx: &mut Effects,
    ) {
        match role {
            None => {
                let why = Removal { codes: &[307], actor, reason, ..Removal::default() };
                self.remove(nick, why, fx);
            }
            Some(role) => {
                let Some(occupant) = self.occupants.get_mut(nick) else { return };
                let always = self.config.presence_broadcast.contains(&occupant.role);
                occupant.role = role;
                let told = Told { actor, reason, and_self: true, always, ..Told::default() };
                self.tell_presence(nick, Some(told), fx);
            }
        }
    }

    pub(super) fn set_affiliation(
        &mut self,
        jid: &BareJid,
        affiliation: Affiliation,
        nick: Option<&str>,
        actor: Option<&str>,
        reason: Option<&str>,
        fx: &mut Effects,
    ) {
        let before = self.affiliation(jid.as_str());
        let old_nick = self.reserved_nick(jid.as_str()).map(str::to_owned);
        // Sections 9.1 and 7.10: outcasts and strangers have no reserved nickname.
        let keeps_nick = affiliation >= Affiliation::Member;
        let new_nick = match nick {
            Some(nick) => Some(nick.to_owned()).filter(|nick| !nick.is_empty() && keeps_nick),
            None => old_nick.clone().filter(|_| keeps_nick),
        };
        if before == affiliation && new_nick == old_nick {
            return;
        }
        let since = self.mav_now();
        self.put_affiliation(jid, affiliation, new_nick, fx);
        if before == affiliation {
            return;
        }
        let mav = Some((since, self.mav_now()));
        if affiliation < Affiliation::Member {
            self.invited.remove(jid);
        }
        let Some(occupant) = self.occupant_of_account(jid) else {
            self.tell_absent(jid, before, affiliation, reason, mav, fx);
            return;
        };
        let nick = occupant.nick().to_owned();
        let codes: &[u16] = match affiliation {
            Affiliation::Outcast => &[301],
            Affiliation::None if self.config.members_only => &[321],
            _ => {
                return self.follow(
                    &nick,
                    before,
                    affiliation,
                    Told { actor, reason, mav, ..Told::default() },
                    fx,
                );
            }
        };
        self.remove(&nick, Removal { codes, actor, reason, mav, ..Removal::default() }, fx);
    }

    /// The role follows the affiliation of somebody who is here.
    fn follow(
        &mut self,
        nick: &str,
        before: Affiliation,
        after: Affiliation,
        told: Told<'_>,
        fx: &mut Effects,
    ) {
        let Some(occupant) = self.occupants.get_mut(nick) else { return };
        let was_told = self.config.presence_broadcast.contains(&occupant.role);
        occupant.role = role_after(&self.config, occupant.role, before, after);
        let told = Told { and_self: true, always: was_told, ..told };
        self.tell_presence(nick, Some(told), fx);
    }

    /// Of somebody who is not here, those who may know real addresses get a message (sections
    /// 10.3 and 10.6; XEP-0463, section 5.2.2); a new member is invited (section 9.5).
    fn tell_absent(
        &self,
        jid: &BareJid,
        before: Affiliation,
        affiliation: Affiliation,
        reason: Option<&str>,
        mav: Option<(String, String)>,
        fx: &mut Effects,
    ) {
        let item = Element::new("item", ns::MUC_USER)
            .with_attr("affiliation", affiliation.as_str())
            .with_attr("role", "none")
            .with_attr("jid", jid.as_str())
            .with_children(reason.map(|text| Element::new("reason", ns::MUC_USER).with_text(text)));
        let mav = mav.map(|(since, until)| {
            Element::new("mav", ns::MUC_AFFILIATIONS)
                .with_attr("since", since)
                .with_attr("until", until)
        });
        let x = Element::new("x", ns::MUC_USER).with_children(mav).with_child(item);
        let mut message =
            Stanza::message(MessageType::Normal).with_from(self.jid.clone()).with_child(x);
        message.type_ = None;
        for viewer in self.occupants.values().filter(|viewer| self.sees_addresses(viewer)) {
            for device in &viewer.devices {
                fx.out.push(message.clone().with_to(device.jid.clone()));
            }
        }
        let is_new = before < Affiliation::Member && affiliation >= Affiliation::Member;
        if self.config.members_only && is_new && !self.locked {
            fx.out.push(self.invitation(jid, &self.jid, reason, None));
        }
    }

    /// The answer to a request for a list of affiliations (sections 9.2, 9.5, 10.5, 10.8).
    pub fn list_affiliations(
        &self,
        who: &Jid,
        affiliation: Affiliation,
    ) -> Result<Element, StanzaError> {
        if !self.may_list(who, affiliation) {
            return Err(StanzaError::forbidden("not yours to see"));
        }
        let items = self.with_affiliation(affiliation).map(|(jid, found)| {
            Element::new("item", ns::MUC_ADMIN)
                .with_attr("affiliation", affiliation.as_str())
                .with_attr("jid", jid.as_str())
                .with_attr_opt("nick", found.nick.as_deref())
        });
        Ok(Element::new("query", ns::MUC_ADMIN).with_children(items))
    }

    /// The answer to a request for a list of roles (sections 8.5 and 9.8).
    pub fn list_roles(&self, who: &Jid, role: Role) -> Result<Element, StanzaError> {
        if self.standing(who).role != Some(Role::Moderator) {
            return Err(StanzaError::forbidden("only for moderators"));
        }
        let having = self.occupants.values().filter(|occupant| occupant.role == role);
        let items = having.map(|occupant| {
            let Item { affiliation, jid, .. } = self.item(occupant);
            Element::new("item", ns::MUC_ADMIN)
                .with_attr("affiliation", affiliation.as_str())
                .with_attr("role", role.name())
                .with_attr_opt("jid", jid.map(Jid::as_str))
                .with_attr("nick", occupant.nick())
        });
        Ok(Element::new("query", ns::MUC_ADMIN).with_children(items))
    }

    /// Puts a configuration in force (section 10.2).
    pub fn configure(&mut self, config: Config, fx: &mut Effects) {
        let before = std::mem::replace(&mut self.config, config);
        let was_locked = std::mem::take(&mut self.locked);
        if before == self.config && !was_locked {
            return;
        }
        self.touch(fx);
        while self.history.len() > self.config.history as usize {
            self.history.pop_front();
        }
        if self.config.members_only && !before.members_only {
            self.remove_strangers(fx);
        }
        let codes = self.config.status_codes(&before);
        if !codes.is_empty() && !was_locked {
            self.tell_codes(&codes, fx);
        }
    }

    /// A groupchat message that says nothing but that something has changed (section 10.2.1).
    pub fn tell_codes(&self, codes: &[u16], fx: &mut Effects) {
        let message = Stanza::message(MessageType::Groupchat)
            .with_from(self.jid.clone())
            .with_child(build::codes(codes));
        self.tell_message(&message, fx);
    }

    /// Section 9.3: the room has become one for members only.
    fn remove_strangers(&mut self, fx: &mut Effects) {
        let strangers = self
            .occupants
            .values()
            .filter(|occupant| self.affiliation(occupant.account.as_str()) < Affiliation::Member);
        let strangers: Vec<String> = strangers.map(|occupant| occupant.nick().to_owned()).collect();
        for nick in strangers {
            self.remove(&nick, Removal { codes: &[322], ..Removal::default() }, fx);
        }
    }

    /// What owners set in the configuration form beside the configuration (section 10.1.3).
    pub fn put_list(
        &mut self,
        actor: &Jid,
        affiliation: Affiliation,
        jids: &[BareJid],
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let change = |jid: &BareJid, affiliation| Change::Affiliation {
            jid: jid.clone(),
            affiliation,
            nick: None,
            reason: None,
        };
        let given = jids.iter().filter(|jid| self.affiliation(jid.as_str()) != affiliation);
        let given = given.map(|jid| change(jid, affiliation));
        let taken = self.with_affiliation(affiliation).filter(|(jid, _)| !jids.contains(jid));
        // Section 10.7: who is no longer on the list becomes a member.
        let taken = taken.map(|(jid, _)| change(jid, Affiliation::Member));
        let changes: Vec<Change> = given.chain(taken).collect();
        self.change(actor, &changes, fx)
    }

    /// The one who makes the room owns it.
    pub fn found(&mut self, owner: &BareJid, fx: &mut Effects) {
        self.put_affiliation(owner, Affiliation::Owner, None, fx);
        self.locked = true;
    }

    /// Whoever has the address may enter; it stays when it is empty.
    pub fn open_hidden(&mut self, name: &str, fx: &mut Effects) {
        self.locked = false;
        name.clone_into(&mut self.config.name);
        self.config.public = false;
        self.config.persistent = true;
        self.touch(fx);
    }

    /// Takes back a message of somebody (XEP-0425).
    pub fn moderate(
        &mut self,
        actor: &Jid,
        message: ArchiveId,
        reason: Option<&str>,
        retraction: (ArchiveId, Timestamp),
        fx: &mut Effects,
    ) -> Result<Element, StanzaError> {
        let moderator = self
            .occupant_of_account(actor)
            .filter(|occupant| occupant.role == Role::Moderator)
            .ok_or_else(|| StanzaError::forbidden("only for moderators"))?;
        let moderated = Element::new("moderated", ns::MESSAGE_MODERATE)
            .with_attr("by", moderator.jid.as_str())
            .with_child(build::occupant_id(&moderator.id));
        let reason = reason.map(|text| Element::new("reason", ns::RETRACT).with_text(text));
        let retract = Element::new("retract", ns::RETRACT)
            .with_attr("id", message.to_string())
            .with_child(moderated.clone())
            .with_children(reason.clone());
        let announcement = Stanza::message(MessageType::Groupchat)
            .with_id(retraction.0.to_string())
            .with_child(retract);
        self.forget_message(&message.to_string());
        self.announce(announcement, Some(retraction), fx);
        let tombstone = Element::new("retracted", ns::RETRACT)
            .with_attr("id", retraction.0.to_string())
            .with_attr("stamp", retraction.1.to_string())
            .with_child(moderated)
            .with_children(reason);
        Ok(tombstone)
    }
}
