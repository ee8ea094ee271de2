//! Links by which people without an account get in (docs/protocols/guests.md).

use serde::{Deserialize, Serialize};
use wello_kernel::config::LinkMakers;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};

use super::leave::Removal;
use super::{Affiliation, Config, Effects, Role, Room, Standing};

/// Says of a presence that a guest's is one. The room's to say alone.
pub const MARK: &str = "guest";

/// Links of one room that hold at the same time.
const MAX_LINKS: usize = 50;

/// A link as the room keeps it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    pub id: String,
    /// SHA-256 of its token, in hexadecimal.
    pub hash: String,
    /// The account that made it.
    pub by: String,
    /// Microseconds since 1970.
    pub expires: i64,
    /// Who comes by it counts as a member.
    pub member: bool,
}

impl Link {
    fn holds(&self, now: Timestamp) -> bool {
        Timestamp::from_micros(self.expires) > now
    }
}

/// What a guest comes in by.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The id of the link.
    pub link: String,
    pub member: bool,
}

impl Pass {
    /// In a room for members only, whoever made the link answers for who comes by it.
    pub fn affiliation(&self, config: &Config) -> Affiliation {
        match self.member || config.members_only {
            true => Affiliation::Member,
            false => Affiliation::None,
        }
    }
}

/// Whether somebody may make links: who may invite into this room, and members where the operator
/// says so.
pub fn may_make_links(who: Standing, room_lets_invite: bool, makers: LinkMakers) -> bool {
    let presides = who.role == Some(Role::Moderator) || who.affiliation >= Affiliation::Admin;
    let is_heard = who.role >= Some(Role::Participant);
    let is_member = who.affiliation >= Affiliation::Member;
    presides
        || (room_lets_invite && is_heard && is_member)
        || (makers == LinkMakers::Members && is_member)
}

impl Room {
    pub fn check_link_maker(&self, who: &Jid, makers: LinkMakers) -> Result<(), StanzaError> {
        let is_guest = self.guests.contains_key(who.bare_str());
        if !is_guest && may_make_links(self.standing(who), self.config.allow_invites, makers) {
            return Ok(());
        }
        Err(StanzaError::forbidden("not yours to let guests in"))
    }

    /// The links that hold.
    pub fn guest_links(&self, now: Timestamp) -> impl Iterator<Item = &Link> {
        self.config.guest_links.iter().filter(move |link| link.holds(now))
    }

    pub fn add_guest_link(
        &mut self,
        link: Link,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let links = &mut self.config.guest_links;
        links.retain(|link| link.holds(now));
        if links.len() >= MAX_LINKS {
            return Err(StanzaError::resource_constraint("too many links to this room"));
        }
        links.push(link);
        self.touch(fx);
        Ok(())
    }

    /// Takes a link back, and puts out who came by it.
    pub fn remove_guest_link(
        &mut self,
        actor: &Jid,
        id: &str,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let links = &mut self.config.guest_links;
        let place = links.iter().position(|link| link.id == id);
        let place = place.ok_or_else(|| StanzaError::item_not_found("there is no such link"))?;
        links.remove(place);
        self.touch(fx);
        let actor = self.occupant_of_account(actor).map(|actor| actor.nick().to_owned());
        let came = self.guests.iter().filter(|(_, pass)| pass.link == id);
        let nicks: Vec<Box<str>> =
            came.filter_map(|(guest, _)| self.nicks.get(guest).cloned()).collect();
        for nick in nicks {
            let why = Removal {
                codes: &[307],
                actor: actor.as_deref(),
                reason: Some("The link was taken back."),
                ..Removal::default()
            };
            self.remove(&nick, why, fx);
        }
        Ok(())
    }

    pub fn has_guests(&self) -> bool {
        !self.guests.is_empty()
    }

    pub fn is_guest(&self, account: &BareJid) -> bool {
        self.guests.contains_key(account)
    }

    /// What somebody at the door is to this room, with or without a link.
    pub(super) fn affiliation_at_door(
        &self,
        account: &BareJid,
        pass: Option<&Pass>,
    ) -> Result<Affiliation, StanzaError> {
        let Some(pass) = pass else { return Ok(self.affiliation(account.as_str())) };
        if !self.config.guest_links.iter().any(|link| link.id == pass.link) {
            return Err(StanzaError::forbidden("the link was taken back"));
        }
        Ok(pass.affiliation(&self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_make_links() {
        use Affiliation::{Admin, Member, None as Nobody};
        use LinkMakers::{Members, Moderators};
        let may = |role, affiliation, invites, makers| {
            may_make_links(Standing { role, affiliation }, invites, makers)
        };
        let (moderator, participant) = (Some(Role::Moderator), Some(Role::Participant));
        assert!(may(moderator, Nobody, false, Moderators));
        assert!(may(None, Admin, false, Moderators));
        assert!(!may(participant, Member, false, Moderators));
        assert!(may(participant, Member, true, Moderators));
        assert!(!may(Some(Role::Visitor), Member, true, Moderators));
        assert!(!may(None, Member, true, Moderators));
        assert!(may(None, Member, false, Members));
        assert!(!may(participant, Nobody, true, Members));
    }

    #[test]
    fn a_room_for_members_takes_guests_as_such() {
        let open = Config::default();
        let closed = Config { members_only: true, ..Config::default() };
        let pass = |member| Pass { link: "l".into(), member };
        assert_eq!(pass(false).affiliation(&open), Affiliation::None);
        assert_eq!(pass(true).affiliation(&open), Affiliation::Member);
        assert_eq!(pass(false).affiliation(&closed), Affiliation::Member);
    }
}
