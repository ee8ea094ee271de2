//! What an owner may configure (XEP-0045, section 10.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Role;
use super::guests::Link;
use super::hats::Hats;

/// The configuration of a room.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Config {
    pub name: String,
    pub description: String,
    pub lang: String,
    /// Survives without occupants.
    pub persistent: bool,
    /// In lists of rooms.
    pub public: bool,
    pub members_only: bool,
    pub moderated: bool,
    /// Whether new occupants are asked for the password of `password_hash`.
    pub password_protected: bool,
    /// Argon2id.
    pub password_hash: Option<String>,
    /// Who learns real addresses.
    pub whois: Whois,
    /// Whether participants, too, may set the subject.
    pub change_subject: bool,
    /// Whether members, too, may invite into a members-only room.
    pub allow_invites: bool,
    pub allow_pm: AllowPm,
    pub allow_voice_requests: bool,
    /// Whether users may make themselves members.
    pub allow_registration: bool,
    /// Roles that may ask for the lists of affiliations.
    pub member_list: BTreeSet<Role>,
    /// Roles whose presence the others are told.
    pub presence_broadcast: BTreeSet<Role>,
    /// 0: as many as the service allows.
    pub max_users: u32,
    /// Messages sent to somebody who enters, at most.
    pub history: u32,
    /// Messages are kept (XEP-0313).
    pub archive: bool,
    /// Everybody who is not banned may read the archive.
    pub public_log: bool,
    /// Seconds between two messages of one occupant (XEP-0500); 0: no limit.
    pub slow_mode: u32,
    /// Members who are not here get the messages that mention them (XEP-0452).
    pub forward_mentions: bool,
    pub hats: Hats,
    /// A node of PubSub that belongs to the room, as a URI.
    pub pubsub: String,
    pub guest_links: Vec<Link>,
}

/// Whom real addresses are shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whois {
    Anyone,
    #[default]
    Moderators,
}

/// Who may send private messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AllowPm {
    #[default]
    Anyone,
    Participants,
    Moderators,
    None,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            persistent: false,
            public: true,
            members_only: false,
            moderated: false,
            password_protected: false,
            password_hash: None,
            whois: Whois::Moderators,
            change_subject: false,
            allow_invites: false,
            allow_pm: AllowPm::Anyone,
            allow_voice_requests: true,
            allow_registration: true,
            member_list: BTreeSet::from([Role::Moderator]),
            presence_broadcast: BTreeSet::from(Role::ALL),
            max_users: 0,
            history: 20,
            archive: true,
            public_log: false,
            slow_mode: 0,
            forward_mentions: false,
            hats: Hats::default(),
            pubsub: String::new(),
            guest_links: Vec::new(),
        }
    }
}

impl Config {
    /// What everybody in the room has to know of a change (section 10.2.1).
    pub fn status_codes(&self, before: &Config) -> Vec<u16> {
        let mut codes = Vec::new();
        if self.public_log != before.public_log {
            codes.push(if self.public_log { 170 } else { 171 });
        }
        if self.whois != before.whois {
            codes.push(match self.whois {
                Whois::Anyone => 172,
                Whois::Moderators => 173,
            });
        }
        let silent = |config: &Config| Config {
            public_log: false,
            whois: Whois::default(),
            ..config.clone()
        };
        if silent(self) != silent(before) {
            codes.push(104);
        }
        codes
    }

    /// The hash that who enters must match.
    pub fn password(&self) -> Option<&str> {
        self.password_hash.as_deref().filter(|_| self.password_protected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_code() {
        let before = Config::default();
        let codes = |change: fn(&mut Config)| {
            let mut after = before.clone();
            change(&mut after);
            after.status_codes(&before)
        };
        assert_eq!(codes(|_| {}), [0u16; 0]);
        assert_eq!(codes(|config| config.public_log = true), [170]);
        assert_eq!(codes(|config| config.whois = Whois::Anyone), [172]);
        assert_eq!(codes(|config| config.slow_mode = 3), [104]);
        let all = codes(|config| {
            config.name = "x".into();
            config.whois = Whois::Anyone;
            config.public_log = true;
        });
        assert_eq!(all, [170, 172, 104]);
        let open = Config { whois: Whois::Anyone, public_log: true, ..before.clone() };
        assert_eq!(before.status_codes(&open), [171, 173]);
    }
}
