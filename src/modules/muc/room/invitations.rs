//! Invitations through the room, and declined ones (XEP-0045, section 7.8.2).

use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::message::not_an_occupant;
use super::{Affiliation, Effects, Role, Room};

/// Accounts that are remembered as invited.
const MAX_INVITED: usize = 1000;

impl Room {
    /// Passes an invitation on; `invite` is what the inviter sent.
    pub fn invite(
        &mut self,
        from: &Jid,
        invite: &Element,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let inviter = self.occupant_of(from).ok_or_else(not_an_occupant)?;
        let to: Jid = invite
            .attr("to")
            .ok_or_else(|| StanzaError::bad_request("an invitation needs somebody to invite"))?
            .parse()?;
        let by_right = self.affiliation(from.bare_str()) >= Affiliation::Admin;
        let may_invite = by_right || !self.config.members_only || self.config.allow_invites;
        if !may_invite || inviter.role < Role::Participant {
            return Err(StanzaError::forbidden("not yours to invite"));
        }
        // Who has been banned is not asked back by anybody but those who may end the ban.
        if self.affiliation(to.bare_str()) == Affiliation::Outcast && !by_right {
            return Err(StanzaError::forbidden("banned from this room"));
        }
        let inviter = inviter.jid.clone();
        let text =
            |name: &str| invite.child(name, ns::MUC_USER).map(|found| found.text().into_owned());
        let continues = invite.child("continue", ns::MUC_USER);
        let stanza = self.invitation(&to, &inviter, text("reason").as_deref(), continues);
        let account = to.bare();
        if self.config.members_only && self.affiliation(account.as_str()) < Affiliation::Member {
            if self.affiliated() >= self.limits.affiliations {
                return Err(StanzaError::resource_constraint("the list of members is full"));
            }
            let nick = self.reserved_nick(account.as_str()).map(str::to_owned);
            self.put_affiliation(&account, Affiliation::Member, nick, fx);
        }
        self.expect(account);
        fx.out.push(stanza);
        Ok(())
    }

    fn expect(&mut self, account: BareJid) {
        if self.config.password().is_some() {
            if self.invited.len() >= MAX_INVITED {
                self.invited.clear();
            }
            self.invited.insert(account);
        }
    }

    /// The invitation as the invitee gets it, with the old form for clients that know only that
    /// (XEP-0249).
    pub(super) fn invitation(
        &self,
        to: &Jid,
        from: &Jid,
        reason: Option<&str>,
        continues: Option<&Element>,
    ) -> Stanza {
        let reason = reason.filter(|reason| !reason.is_empty());
        let reason_element =
            reason.map(|text| Element::new("reason", ns::MUC_USER).with_text(text));
        let invite = Element::new("invite", ns::MUC_USER)
            .with_attr("from", from.as_str())
            .with_children(reason_element)
            .with_children(continues.cloned());
        let x = Element::new("x", ns::MUC_USER).with_child(invite);
        let direct = Element::new("x", ns::DIRECT_INVITE)
            .with_attr("jid", self.jid.as_str())
            .with_attr_opt("reason", reason);
        let mut stanza = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_to(to.clone())
            .with_children([x, direct]);
        stanza.type_ = None;
        stanza
    }

    /// Tells an inviter that somebody does not come (section 7.8.2).
    pub fn decline(
        &self,
        from: &Jid,
        decline: &Element,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let to: Jid = decline
            .attr("to")
            .ok_or_else(|| StanzaError::bad_request("nobody to tell"))?
            .parse()?;
        // Inviters are named by their occupant address.
        let inviter = match to.bare_str() == self.jid.as_str() {
            true => to.resource().and_then(|nick| self.occupant(nick)),
            false => self.occupant_of_account(&to),
        };
        let inviter =
            inviter.ok_or_else(|| StanzaError::item_not_found("the inviter is not here"))?;
        let mut told = Element::new("decline", ns::MUC_USER).with_attr("from", from.bare_str());
        told = told.with_children(decline.child("reason", ns::MUC_USER).cloned());
        let mut stanza = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_child(Element::new("x", ns::MUC_USER).with_child(told));
        stanza.type_ = None;
        for device in &inviter.devices {
            fx.out.push(stanza.clone().with_to(device.jid.clone()));
        }
        Ok(())
    }
}
