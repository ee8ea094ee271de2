//! Roles and affiliations, and who may change whose (XEP-0045, section 5).

use serde::{Deserialize, Serialize};
pub use wello_store::RoomAffiliation as Affiliation;
use wello_wire::error::StanzaError;

use super::config::Config;

/// What an occupant may do for this visit (section 5.1); who is not in the room has none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Visitor,
    Participant,
    Moderator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Visitor, Role::Participant, Role::Moderator];

    pub fn name(self) -> &'static str {
        match self {
            Role::Visitor => "visitor",
            Role::Participant => "participant",
            Role::Moderator => "moderator",
        }
    }

    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who asks for a change, or whom it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// `None` outside of the room.
    pub role: Option<Role>,
    pub affiliation: Affiliation,
}

/// The role of who enters (section 5.1.2).
pub fn default_role(config: &Config, affiliation: Affiliation) -> Role {
    match affiliation {
        Affiliation::Owner | Affiliation::Admin => Role::Moderator,
        Affiliation::Member => Role::Participant,
        _ if config.moderated => Role::Visitor,
        _ => Role::Participant,
    }
}

/// The role after a change of affiliation. A moderator by grant stays one.
pub fn role_after(config: &Config, role: Role, before: Affiliation, after: Affiliation) -> Role {
    let by_grant = before < Affiliation::Admin && role == Role::Moderator;
    let default = default_role(config, after);
    if by_grant { default.max(role) } else { default }
}

/// Whether `actor` may give `target` the role, `None` to put it out of the room (sections 8 and
/// 9.6 to 9.8).
pub fn may_set_role(
    actor: Standing,
    target: Standing,
    role: Option<Role>,
) -> Result<(), StanzaError> {
    if actor.role != Some(Role::Moderator) {
        return Err(StanzaError::forbidden("only for moderators"));
    }
    let not_allowed = |text: &str| Err(StanzaError::not_allowed(text));
    let is_admin = actor.affiliation >= Affiliation::Admin;
    if role == target.role {
        return Ok(());
    }
    if role == Some(Role::Moderator) && !is_admin {
        return Err(StanzaError::forbidden("only admins and owners make moderators"));
    }
    match role {
        // Section 8.2: not by who has a lower affiliation.
        None if actor.affiliation < target.affiliation => {
            not_allowed("not one of that affiliation")
        }
        None => Ok(()),
        Some(Role::Moderator) => Ok(()),
        // Sections 8.4 and 9.7: admins and owners have voice and are moderators.
        Some(_) if target.affiliation >= Affiliation::Admin => {
            not_allowed("admins and owners are moderators")
        }
        Some(_) if target.role == Some(Role::Moderator) && !is_admin => {
            not_allowed("only admins and owners unmake moderators")
        }
        Some(Role::Visitor) if actor.affiliation < target.affiliation => {
            not_allowed("not one of that affiliation")
        }
        Some(_) => Ok(()),
    }
}

/// Whether `actor` may change an affiliation (section 5.2.2); that the last owner stays is not
/// looked at here.
pub fn may_set_affiliation(
    actor: Affiliation,
    is_self: bool,
    before: Affiliation,
    after: Affiliation,
) -> Result<(), StanzaError> {
    if actor < Affiliation::Admin {
        return Err(StanzaError::forbidden("only for admins and owners"));
    }
    // Section 9.1.
    if is_self && after == Affiliation::Outcast {
        return Err(StanzaError::conflict("nobody bans themselves"));
    }
    if actor == Affiliation::Owner || before == after {
        return Ok(());
    }
    if before >= Affiliation::Admin && !(is_self && after < Affiliation::Admin) {
        return Err(StanzaError::not_allowed("only owners change admins and owners"));
    }
    if after >= Affiliation::Admin {
        return Err(StanzaError::forbidden("only owners make admins and owners"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    const VISITOR: Option<Role> = Some(Role::Visitor);
    const PARTICIPANT: Option<Role> = Some(Role::Participant);
    const MODERATOR: Option<Role> = Some(Role::Moderator);

    fn standing(role: Option<Role>, affiliation: Affiliation) -> Standing {
        Standing { role, affiliation }
    }

    #[test]
    fn roles_change_as_the_table_of_section_5_1_3() {
        use Affiliation::{Admin, Member, None as Nobody, Owner};
        use Condition::{Forbidden, NotAllowed};
        for (actor, target, role, expected) in [
            ((PARTICIPANT, Owner), (VISITOR, Nobody), PARTICIPANT, Some(Forbidden)),
            ((MODERATOR, Nobody), (VISITOR, Nobody), PARTICIPANT, None),
            ((MODERATOR, Nobody), (PARTICIPANT, Nobody), VISITOR, None),
            ((MODERATOR, Nobody), (PARTICIPANT, Member), VISITOR, Some(NotAllowed)),
            ((MODERATOR, Nobody), (PARTICIPANT, Nobody), MODERATOR, Some(Forbidden)),
            ((MODERATOR, Admin), (PARTICIPANT, Nobody), MODERATOR, None),
            ((MODERATOR, Nobody), (MODERATOR, Nobody), PARTICIPANT, Some(NotAllowed)),
            ((MODERATOR, Admin), (MODERATOR, Member), PARTICIPANT, None),
            ((MODERATOR, Owner), (MODERATOR, Admin), PARTICIPANT, Some(NotAllowed)),
            ((MODERATOR, Owner), (MODERATOR, Owner), VISITOR, Some(NotAllowed)),
            ((MODERATOR, Nobody), (PARTICIPANT, Nobody), None, None),
            ((MODERATOR, Member), (MODERATOR, Admin), None, Some(NotAllowed)),
            ((MODERATOR, Admin), (MODERATOR, Owner), None, Some(NotAllowed)),
            ((MODERATOR, Owner), (MODERATOR, Owner), None, None),
        ] {
            let verdict =
                may_set_role(standing(actor.0, actor.1), standing(target.0, target.1), role);
            let case = format!("{actor:?} {target:?} {role:?}");
            assert_eq!(verdict.err().map(|error| error.condition), expected, "{case}");
        }
    }

    #[test]
    fn affiliations_change_as_the_table_of_section_5_2_2() {
        use Affiliation::{Admin, Member, None as Nobody, Outcast, Owner};
        use Condition::{Conflict, Forbidden, NotAllowed};
        for (actor, is_self, before, after, expected) in [
            (Member, false, Nobody, Member, Some(Forbidden)),
            (Nobody, false, Nobody, Outcast, Some(Forbidden)),
            (Admin, false, Nobody, Outcast, None),
            (Admin, false, Outcast, Nobody, None),
            (Admin, false, Nobody, Member, None),
            (Admin, false, Member, Nobody, None),
            (Admin, false, Nobody, Admin, Some(Forbidden)),
            (Admin, false, Member, Owner, Some(Forbidden)),
            (Admin, false, Owner, Outcast, Some(NotAllowed)),
            (Admin, false, Admin, Nobody, Some(NotAllowed)),
            (Admin, true, Admin, Member, None),
            (Admin, true, Admin, Outcast, Some(Conflict)),
            (Owner, true, Owner, Outcast, Some(Conflict)),
            (Owner, false, Owner, Outcast, None),
            (Owner, false, Admin, Owner, None),
            (Owner, true, Owner, Admin, None),
        ] {
            let verdict = may_set_affiliation(actor, is_self, before, after);
            let case = format!("{actor:?} {is_self} {before:?} {after:?}");
            assert_eq!(verdict.err().map(|error| error.condition), expected, "{case}");
        }
    }

    #[test]
    fn a_role_follows_the_affiliation() {
        let open = Config::default();
        let moderated = Config { moderated: true, ..Config::default() };
        assert_eq!(default_role(&open, Affiliation::None), Role::Participant);
        assert_eq!(default_role(&moderated, Affiliation::None), Role::Visitor);
        assert_eq!(default_role(&moderated, Affiliation::Member), Role::Participant);
        assert_eq!(default_role(&open, Affiliation::Admin), Role::Moderator);
        let after = |role, before, after| role_after(&moderated, role, before, after);
        let (none, member, owner) = (Affiliation::None, Affiliation::Member, Affiliation::Owner);
        assert_eq!(after(Role::Moderator, owner, none), Role::Visitor);
        assert_eq!(after(Role::Moderator, none, member), Role::Moderator);
        assert_eq!(after(Role::Visitor, none, member), Role::Participant);
        assert_eq!(after(Role::Participant, member, owner), Role::Moderator);
    }
}
