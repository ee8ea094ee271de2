//! What accounts that chose nothing show to whom.

use serde::Deserialize;
use wello_store::{StrangerPolicy, Viewers};

use super::{Audience, Config};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    pub presence: Viewers,
    pub last_seen: Viewers,
    /// vCards and avatars.
    pub profile: Viewers,
    pub strangers: StrangerPolicy,
    /// Strangers whose messages one account holds back, and messages of each.
    pub held_strangers: u32,
    pub held_messages: u32,
    /// Of strangers to one account: subscription requests and invitations.
    pub requests_per_hour: u32,
    /// Who may search for accounts that want to be found.
    pub search: Audience,
}

impl Default for Privacy {
    fn default() -> Privacy {
        Privacy {
            presence: Viewers::Contacts,
            last_seen: Viewers::Contacts,
            profile: Viewers::Everyone,
            strangers: StrangerPolicy::Accept,
            held_strangers: 100,
            held_messages: 20,
            requests_per_hour: 60,
            search: Audience::Users,
        }
    }
}

/// Where one host differs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct HostPrivacy {
    pub presence: Option<Viewers>,
    pub last_seen: Option<Viewers>,
    pub profile: Option<Viewers>,
    pub strangers: Option<StrangerPolicy>,
}

impl Config {
    /// What holds for the accounts of a host.
    pub fn privacy_of(&self, domain: &str) -> Privacy {
        let general = self.privacy;
        let Some(host) = self.host.iter().find(|host| host.domain == domain) else {
            return general;
        };
        let own = &host.privacy;
        Privacy {
            presence: own.presence.unwrap_or(general.presence),
            last_seen: own.last_seen.unwrap_or(general.last_seen),
            profile: own.profile.unwrap_or(general.profile),
            strangers: own.strangers.unwrap_or(general.strangers),
            ..general
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_differ() {
        let text = "[privacy]\nlast_seen = 'nobody'\n[[host]]\ndomain = 'b.example'\n\
                    privacy = { strangers = 'refuse' }";
        let config = Config::parse(text, []).unwrap();
        let (a, b) = (config.privacy_of("a.example"), config.privacy_of("b.example"));
        assert_eq!((a.last_seen, a.strangers), (Viewers::Nobody, StrangerPolicy::Accept));
        assert_eq!((b.last_seen, b.strangers), (Viewers::Nobody, StrangerPolicy::Refuse));
        let mistake = Config::parse("[privacy]\npresence = 'friends'", []).unwrap_err().to_string();
        assert!(mistake.contains("contacts"), "{mistake}");
    }
}
