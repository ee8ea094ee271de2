//! Programs that serve domains of their own, and what they may do with the accounts of a host.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Deserialize;
use wello_wire::jid::Jid;
use wello_wire::ns;

use super::{Config, ConfigError, Rate};
use crate::hooks::Request;

/// A program that serves a domain of its own (XEP-0114).
#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub domain: String,
    pub secret: String,
    /// Told to clients among the services of its host.
    #[serde(default = "listed")]
    pub listed: bool,
    /// Whose accounts its privileges and delegations are about; see [`Component::manages`].
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub limits: ComponentLimits,
    #[serde(default)]
    pub privileges: Privileges,
    #[serde(default)]
    pub delegations: Vec<Delegated>,
}

fn listed() -> bool {
    true
}

/// What one component may take of the server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ComponentLimits {
    /// Connections at the same time, which share the work.
    pub connections: usize,
    /// Of each connection; 0 for no limit.
    pub rate_bytes_per_second: u64,
    pub burst_bytes: u64,
    /// What may wait to be read by each connection.
    pub queue_bytes: usize,
}

impl ComponentLimits {
    pub fn rate(&self) -> Rate {
        Rate { bytes_per_second: self.rate_bytes_per_second, burst_bytes: self.burst_bytes }
    }
}

impl Default for ComponentLimits {
    fn default() -> ComponentLimits {
        ComponentLimits {
            connections: 16,
            rate_bytes_per_second: 4 * 1024 * 1024,
            burst_bytes: 16 * 1024 * 1024,
            queue_bytes: 4 * 1024 * 1024,
        }
    }
}

/// What a component may do in the name of accounts (XEP-0356).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Privileges {
    pub roster: Access,
    /// Where it may read rosters, it is told of changes.
    pub roster_push: bool,
    pub message: MessagePrivilege,
    pub presence: PresencePrivilege,
    /// By the namespaces of payloads.
    pub iq: BTreeMap<String, Access>,
}

impl Default for Privileges {
    fn default() -> Privileges {
        Privileges {
            roster: Access::None,
            roster_push: true,
            message: MessagePrivilege::None,
            presence: PresencePrivilege::None,
            iq: BTreeMap::new(),
        }
    }
}

/// Which requests are allowed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    #[default]
    None,
    Get,
    Set,
    Both,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MessagePrivilege {
    None,
    /// It sends messages in the name of accounts and of the host.
    Outgoing,
}

/// Each implies those before it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum PresencePrivilege {
    None,
    /// It is told which accounts come and go.
    ManagedEntity,
    /// And which of their contacts.
    Roster,
}

/// A namespace whose requests a component answers in place of the host (XEP-0355).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Delegated {
    pub namespace: String,
    /// Only requests whose payload has all of these.
    #[serde(default)]
    pub attributes: Vec<String>,
}

impl Access {
    /// As XEP-0356 names it.
    pub fn name(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::Get => "get",
            Access::Set => "set",
            Access::Both => "both",
        }
    }

    pub fn allows(self, request: Request) -> bool {
        match request {
            Request::Get => matches!(self, Access::Get | Access::Both),
            Request::Set => matches!(self, Access::Set | Access::Both),
        }
    }
}

impl Privileges {
    pub fn any(&self) -> bool {
        *self != Privileges { roster_push: self.roster_push, ..Privileges::default() }
    }

    /// Section 4.1: pushes are for who may read.
    pub fn has_roster_pushes(&self) -> bool {
        self.roster_push && self.roster.allows(Request::Get)
    }
}

impl Component {
    /// Whether its privileges and delegations are about the accounts of a host: one that is named, or,
    /// where none is, the one that its domain lies right below.
    pub fn manages(&self, host: &str) -> bool {
        match self.hosts.is_empty() {
            true => self.domain.split_once('.').is_some_and(|(_, above)| above == host),
            false => self.hosts.iter().any(|managed| managed == host),
        }
    }

    fn is_trusted(&self) -> bool {
        self.privileges.any() || !self.delegations.is_empty()
    }

    /// `own`: the domains that accounts and guests have.
    pub(super) fn check(&self, own: &[&str]) -> Result<(), ConfigError> {
        let value = |reason: &str| {
            let reason = format!("{:?}: {reason}", self.domain);
            Err(ConfigError::Value { key: "component", reason })
        };
        let Some(jid) = self.domain.parse::<Jid>().ok().filter(Jid::is_domain) else {
            return value("not a domain");
        };
        if jid.domain() != self.domain {
            return value(&format!("write it {:?}", jid.domain()));
        }
        if own.contains(&self.domain.as_str()) {
            return value("is a host of this server");
        }
        if self.secret.len() < 8 {
            return value("the secret must have at least 8 characters");
        }
        if self.limits.connections == 0 {
            return value("limits.connections must be at least 1");
        }
        if let Some(host) = self.hosts.iter().find(|host| !own.contains(&host.as_str())) {
            return value(&format!("{host:?} is not a host of this server"));
        }
        if self.is_trusted() && !own.iter().any(|host| self.manages(host)) {
            return value("lies right below no host: name in `hosts` whose accounts are meant");
        }
        if self.privileges.presence == PresencePrivilege::Roster
            && !self.privileges.roster.allows(Request::Get)
        {
            // XEP-0356, section 7.4.
            return value("presence of rosters is for who may read rosters");
        }
        match self.delegations.iter().find_map(Delegated::mistake) {
            Some(mistake) => value(&mistake),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Delegated {
    fn mistake(&self) -> Option<String> {
        let Delegated { namespace, attributes } = self;
        let for_disco =
            matches!(namespace.as_str(), ns::DELEGATION_BARE_INFO | ns::DELEGATION_BARE_ITEMS);
        if for_disco && !attributes.is_empty() {
            return Some(format!("{namespace} takes no attributes"));
        }
        // XEP-0355, section 8, rule 5.
        let own = namespace.starts_with(ns::DELEGATION) && !for_disco;
        (own || namespace.is_empty()).then(|| format!("{namespace:?} cannot be delegated"))
    }
}

impl Config {
    /// The component that an address belongs to: nobody else speaks for its domain.
    pub fn component_of(&self, address: &Jid) -> Option<&Component> {
        self.component.iter().find(|component| component.domain == address.domain())
    }

    /// What an address may do with the accounts of a host.
    pub fn privileges_of(&self, address: &Jid, host: &str) -> Option<&Privileges> {
        let component = self.component_of(address).filter(|component| component.manages(host));
        component.map(|component| &component.privileges)
    }

    /// `own` as in [`Component::check`].
    pub(super) fn check_components(&self, own: &[&str]) -> Result<(), ConfigError> {
        let value = |reason| Err(ConfigError::Value { key: "component", reason });
        self.component.iter().try_for_each(|component| component.check(own))?;
        let mut domains = HashSet::new();
        if let Some(twice) = self.component.iter().find(|one| !domains.insert(&one.domain)) {
            return value(format!("{:?} is there twice", twice.domain));
        }
        for host in own {
            let managers = self.component.iter().filter(|component| component.manages(host));
            let mut taken = HashSet::new();
            for delegated in managers.flat_map(|component| &component.delegations) {
                if !taken.insert(&delegated.namespace) {
                    return value(format!("{} of {host} is delegated twice", delegated.namespace));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IRC: &str = "[[component]]\ndomain = 'irc.localhost'\nsecret = '12345678'\n";

    fn error(text: &str) -> String {
        Config::parse(text, []).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        let component = |domain, secret| {
            error(&format!("[[component]]\ndomain = '{domain}'\nsecret = '{secret}'"))
        };
        assert!(component("localhost", "12345678").contains("host of this server"));
        assert!(component("irc.localhost", "1234").contains("8 characters"));
        assert!(component("IRC.localhost", "12345678").contains("irc.localhost"));
        assert!(component("a@b", "12345678").contains("not a domain"));
        assert!(error(&format!("{IRC}{IRC}")).contains("twice"));
        for (more, reason) in [
            ("hosts = ['other.example']", "not a host"),
            ("limits = { connections = 0 }", "at least 1"),
            ("privileges = { presence = 'roster' }", "read rosters"),
            ("privileges = { roster = 'all' }", "both"),
            ("delegations = [{ namespace = 'urn:xmpp:delegation:2' }]", "cannot be delegated"),
            ("delegations = [{ namespace = 'a' }, { namespace = 'a' }]", "delegated twice"),
        ] {
            let error = error(&format!("{IRC}{more}"));
            assert!(error.contains(reason), "{error}");
        }
        let far = "[[component]]\ndomain = 'irc.example'\nsecret = '12345678'\n\
            privileges = { roster = 'get' }";
        assert!(error(far).contains("lies right below no host"));
    }

    #[test]
    fn a_component_manages_the_host_above_it_or_those_that_are_named() {
        let parse = |more: &str| {
            let text = format!("hosts = ['localhost', 'b.localhost']\n{IRC}{more}");
            Config::parse(&text, []).unwrap()
        };
        let privileged = "privileges = { roster = 'get' }";
        let (user, stranger): (Jid, Jid) =
            ("u@irc.localhost".parse().unwrap(), "u@b.localhost".parse().unwrap());
        let config = parse(privileged);
        assert!(config.privileges_of(&user, "localhost").is_some());
        assert!(config.privileges_of(&user, "b.localhost").is_none());
        assert!(config.privileges_of(&stranger, "localhost").is_none());
        let config = parse(&format!("hosts = ['b.localhost']\n{privileged}"));
        assert!(config.privileges_of(&user, "localhost").is_none());
        assert!(config.privileges_of(&user, "b.localhost").is_some());
    }

    #[test]
    fn pushes_are_for_who_may_read() {
        let of = |roster, roster_push| Privileges { roster, roster_push, ..Privileges::default() };
        assert!(of(Access::Get, true).has_roster_pushes());
        assert!(of(Access::Both, true).has_roster_pushes());
        assert!(!of(Access::Both, false).has_roster_pushes());
        assert!(!of(Access::Set, true).has_roster_pushes());
        assert!(!of(Access::None, false).any() && of(Access::Set, true).any());
    }
}
