//! Whom the operator lets do something.

use serde::Deserialize;
use wello_store::Role;

/// Whom something is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    Nobody,
    Admins,
    Users,
}

impl Audience {
    /// `None` is somebody without an account here.
    pub fn includes(self, role: Option<Role>) -> bool {
        match self {
            Audience::Nobody => false,
            Audience::Admins => role == Some(Role::Admin),
            Audience::Users => role.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_knows_its_members() {
        for (audience, included) in [
            (Audience::Nobody, [false, false, false]),
            (Audience::Admins, [false, false, true]),
            (Audience::Users, [false, true, true]),
        ] {
            let people = [None, Some(Role::User), Some(Role::Admin)];
            assert_eq!(people.map(|role| audience.includes(role)), included);
        }
    }
}
