//! Reserved nicknames (XEP-0045, section 7.10).

use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;

use super::{Affiliation, Effects, Room};

impl Room {
    /// Whether somebody may register at all.
    pub fn check_registration(&self, who: &Jid) -> Result<(), StanzaError> {
        let affiliation = self.affiliation(who.bare_str());
        match affiliation {
            Affiliation::Outcast => Err(StanzaError::forbidden("banned from this room")),
            // Whoever may be here has a right to a name.
            Affiliation::None if self.config.members_only || !self.config.allow_registration => {
                Err(StanzaError::not_allowed("members are made by admins here"))
            }
            _ => Ok(()),
        }
    }

    /// Reserves a nickname, which makes strangers members.
    pub fn register(&mut self, who: &Jid, nick: &str, fx: &mut Effects) -> Result<(), StanzaError> {
        self.check_registration(who)?;
        let nick = self.jid.with_resource(nick)?;
        let nick = nick.resource();
        if nick.trim().is_empty() || nick.len() > self.limits.nick_bytes {
            return Err(StanzaError::not_acceptable("no nickname that can be used here"));
        }
        let account = who.bare();
        let taken = self.owner_of_nick(nick).is_some_and(|owner| *owner != account)
            || self.occupant(nick).is_some_and(|other| other.account != account);
        if taken {
            return Err(StanzaError::conflict("the nickname is taken"));
        }
        let before = self.affiliation(account.as_str());
        if before == Affiliation::None && self.affiliated() >= self.limits.affiliations {
            return Err(StanzaError::resource_constraint("the list of members is full"));
        }
        self.set_affiliation(&account, before.max(Affiliation::Member), Some(nick), None, None, fx);
        Ok(())
    }

    /// Gives the nickname back; who is no more than a member is none any more (XEP-0077, section
    /// 3.2).
    pub fn unregister(&mut self, who: &Jid, fx: &mut Effects) -> Result<(), StanzaError> {
        let account = who.bare();
        if self.reserved_nick(account.as_str()).is_none() {
            return Err(StanzaError::registration_required("not registered"));
        }
        let after = match self.affiliation(account.as_str()) {
            Affiliation::Member => Affiliation::None,
            other => other,
        };
        self.set_affiliation(&account, after, Some(""), None, None, fx);
        Ok(())
    }
}
