//! People without an account, who come to a room by a link.

use serde::Deserialize;

use super::ConfigError;

/// Guests have their addresses at this label below a host.
pub(super) const LABEL: &str = "guest";

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Guests {
    pub enabled: bool,
    /// Who may make links to a room, besides those whom the room lets invite.
    pub links: LinkMakers,
    /// How long a link holds, at most and if its maker says nothing.
    pub link_hours: u32,
    /// How long a guest may stay.
    pub stay_hours: u32,
    /// Guests of one room at the same time.
    pub per_room: usize,
    /// Guests from one address (IPv6: one /64) at the same time.
    pub per_address: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LinkMakers {
    Moderators,
    Members,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            enabled: true,
            links: LinkMakers::Moderators,
            link_hours: 24,
            stay_hours: 12,
            per_room: 50,
            per_address: 50,
        }
    }
}

impl Guests {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let all = [self.link_hours, self.stay_hours].map(|hours| hours as usize);
        if all.into_iter().chain([self.per_room, self.per_address]).all(|limit| limit > 0) {
            return Ok(());
        }
        let reason = "link_hours, stay_hours, per_room and per_address must be at least 1";
        Err(ConfigError::Value { key: "guests", reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn the_domain_of_guests_is_theirs_alone() {
        let parse = |text: &str| Config::parse(text, []).map_err(|error| error.to_string());
        let config = parse("hosts = ['a.example', 'b.example']").unwrap();
        assert_eq!(config.guest_domains(), ["guest.a.example", "guest.b.example"]);
        assert_eq!(config.host_of("guest.b.example"), "b.example");
        assert_eq!(config.host_of("guest.c.example"), "guest.c.example");
        let both = "hosts = ['a.example', 'guest.a.example']";
        assert!(parse(both).unwrap_err().contains("guest.a.example is a host"));
        let off = parse(&format!("{both}\n[guests]\nenabled = false")).unwrap();
        assert_eq!(off.guest_domains(), [""; 0]);
        let component = "[[component]]\ndomain = 'guest.localhost'\nsecret = '12345678'";
        assert!(parse(component).is_err());
        assert!(parse("[guests]\nper_room = 0").unwrap_err().contains("at least 1"));
    }
}
