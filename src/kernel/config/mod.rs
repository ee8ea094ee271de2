//! The configuration file: every key has a default, unknown keys are errors.

mod about;
mod abuse;
mod audience;
mod auth;
mod calls;
mod components;
mod defaults;
mod env;
mod files;
mod guests;
mod limits;
mod listen;
mod messages;
mod mistake;
mod privacy;
mod push;
mod s2s;
mod services;
mod turn;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

pub use about::{Accessor, AuthData, DataPolicy, Hours, Outage, ServerInfo, Unbounded};
pub use abuse::{Audit, Blocklists, Egress, Feed, FeedKind, Reports};
pub use audience::Audience;
pub use auth::{Auth, Registration};
pub use calls::Calls;
pub use components::{
    Access, Component, ComponentLimits, Delegated, MessagePrivilege, PresencePrivilege, Privileges,
};
pub use env::overrides_from_env;
pub use files::{Ptt, S3, Uploads};
pub use guests::{Guests, LinkMakers};
pub use limits::{LimitsConfig, Rate, Sessions};
pub use listen::{Acme, AcmeChallenge, Http, Listen, Tls, TlsVersion};
pub use messages::{Archive, ArchivePolicy, Offline, PubSub, Rooms};
pub use mistake::Mistake;
pub use privacy::{HostPrivacy, Privacy};
pub use push::{Apns, Fcm, Push};
pub use s2s::S2s;
pub use services::{ExternalService, Transport};
pub use turn::Turn;

/// `config.toml` with all defaults filled in.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub hosts: Vec<String>,
    pub host: Vec<HostFiles>,
    pub external_service: Vec<ExternalService>,
    pub component: Vec<Component>,
    pub data_dir: PathBuf,
    pub listen: Listen,
    pub tls: Tls,
    pub acme: Acme,
    pub storage: Storage,
    pub auth: Auth,
    pub limits: LimitsConfig,
    pub s2s: S2s,
    pub sessions: Sessions,
    pub archive: Archive,
    pub offline: Offline,
    pub privacy: Privacy,
    pub blocklists: Blocklists,
    pub egress: Egress,
    pub reports: Reports,
    pub audit: Audit,
    pub pubsub: PubSub,
    pub rooms: Rooms,
    pub calls: Calls,
    pub guests: Guests,
    pub http: Http,
    pub uploads: Uploads,
    pub push: Push,
    pub ptt: Ptt,
    pub turn: Turn,
    pub log: Log,
    pub contact: Contact,
    pub serverinfo: ServerInfo,
    pub outage: Outage,
    pub data_policy: DataPolicy,
}

/// A host with certificate files of its own.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HostFiles {
    pub domain: String,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub privacy: HostPrivacy,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub url: String,
    pub connections: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// Addresses of XEP-0157, section 2, as URIs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    pub abuse: Vec<String>,
    pub admin: Vec<String>,
    pub feedback: Vec<String>,
    pub sales: Vec<String>,
    pub security: Vec<String>,
    pub status: Vec<String>,
    pub support: Vec<String>,
}

/// A configuration that cannot be used, in words for the operator.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path}, {mistake}")]
    Syntax { path: PathBuf, mistake: Mistake },
    #[error("environment variable {name}: {reason}")]
    Environment { name: String, reason: String },
    #[error("{key}: {reason}")]
    Value { key: &'static str, reason: String },
}

impl Config {
    /// Reads the file (a missing one means defaults) and the overrides from `WELLO_*`.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigError::Unreadable { path: path.into(), error }),
        };
        Config::parse(&text, environment).map_err(|error| match error {
            ConfigError::Syntax { mistake, .. } => {
                ConfigError::Syntax { path: path.into(), mistake }
            }
            other => other,
        })
    }

    pub fn parse(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let syntax = |error| ConfigError::Syntax {
            path: PathBuf::from("config"),
            mistake: Mistake::new(text, &error),
        };
        // First on its own, because only then errors can name the line.
        let mut config: Config = toml::from_str(text).map_err(syntax)?;
        let overrides = overrides_from_env(environment)?;
        if !overrides.is_empty() {
            let table = toml::from_str(text).map_err(syntax)?;
            config = env::apply(table, overrides)?;
        }
        config.check()?;
        Ok(config)
    }

    /// The domains served here, in the order of the file and without repetition.
    pub fn domains(&self) -> Vec<&str> {
        let mut domains: Vec<&str> = Vec::new();
        for domain in self.hosts.iter().chain(self.host.iter().map(|host| &host.domain)) {
            if !domains.contains(&domain.as_str()) {
                domains.push(domain);
            }
        }
        domains
    }

    /// Where guests have their addresses: a domain below each host, none without guests.
    pub fn guest_domains(&self) -> Vec<String> {
        let domains = self.domains().into_iter().filter(|_| self.guests.enabled);
        domains.map(|host| format!("{}.{host}", guests::LABEL)).collect()
    }

    /// The host that an address at `domain` belongs to: for guests, the one above.
    pub fn host_of<'a>(&self, domain: &'a str) -> &'a str {
        let above = domain.strip_prefix(guests::LABEL).and_then(|rest| rest.strip_prefix('.'));
        let above = above.filter(|host| self.guests.enabled && self.domains().contains(host));
        above.unwrap_or(domain)
    }

    /// Where browsers find a host, without a slash at the end: as configured, else by a listener.
    pub fn web_address(&self, domain: &str) -> Option<String> {
        let public = self.http.public_url.trim_end_matches('/');
        if !public.is_empty() {
            return Some(public.to_owned());
        }
        let address = |scheme: &str, usual: u16, port: u16| match port == usual {
            true => format!("{scheme}://{domain}"),
            false => format!("{scheme}://{domain}:{port}"),
        };
        let listen = &self.listen;
        let https = listen.https.first().map(|listener| address("https", 443, listener.port()));
        https.or_else(|| listen.http.first().map(|listener| address("http", 80, listener.port())))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: &str| ConfigError::Value { key, reason: reason.to_owned() };
        if self.domains().is_empty() {
            return Err(value("hosts", "at least one domain is needed"));
        }
        for domain in self.domains() {
            if domain.parse::<wello_wire::jid::Jid>().is_err() || domain.contains(['@', '/']) {
                let reason = format!("{domain:?} is not a domain name");
                return Err(ConfigError::Value { key: "hosts", reason });
            }
        }
        if self.host.iter().any(|host| host.certificate.is_some() != host.key.is_some()) {
            return Err(value("host", "certificate and key must be given together"));
        }
        // RFC 6120, section 13.12: no smaller limit than 10 000 bytes once authenticated.
        if self.limits.stanza_bytes < 10_000 {
            return Err(value("limits.stanza_bytes", "must be at least 10000"));
        }
        if self.limits.outbox_bytes < self.limits.stanza_bytes {
            return Err(value("limits.outbox_bytes", "must hold at least one stanza_bytes"));
        }
        self.external_service.iter().try_for_each(ExternalService::check)?;
        self.turn.check()?;
        self.s2s.check()?;
        self.blocklists.check()?;
        self.reports.check()?;
        self.data_policy.check()?;
        let (hosts, guests) = (self.domains(), self.guest_domains());
        if let Some(taken) = guests.iter().find(|domain| hosts.contains(&domain.as_str())) {
            let reason = format!("{taken} is a host, and guests have their addresses there");
            return Err(ConfigError::Value { key: "guests.enabled", reason });
        }
        let own: Vec<&str> = hosts.into_iter().chain(guests.iter().map(String::as_str)).collect();
        self.check_components(&own)?;
        self.calls.check()?;
        self.guests.check()?;
        self.auth.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, [])
    }

    #[test]
    fn an_empty_file_means_localhost_with_everything_on() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.domains(), ["localhost"]);
    }

    #[test]
    fn mistakes_are_named_with_line_and_alternatives() {
        let text = parse("hosts = ['a']\n[listen]\nc3s = []").unwrap_err().to_string();
        assert!(text.starts_with("config, line 3, listen.c3s: unknown"), "{text}");
        assert!(text.contains("c2s_tls") && !text.contains('\n'), "{text}");
        let text = parse("[archive]\npolicy = 'sometimes'").unwrap_err().to_string();
        assert!(text.contains("roster"), "{text}");
        assert!(parse("hosts = []").is_err());
        assert!(parse("hosts = ['a@b']").is_err());
        assert!(parse("[limits]\nstanza_bytes = 9999").is_err());
        let text = parse("[auth]\nmechanisms = ['SCRAM-MD5']").unwrap_err().to_string();
        assert!(text.contains("SCRAM-SHA-256") && !text.contains("PLUS"), "{text}");
        assert!(parse("[auth]\nmechanisms = ['HT-SHA-256-NONE']").is_err());
        assert!(parse("[auth]\nmechanisms = ['EXTERNAL']").is_err());
        assert!(parse("[auth]\nmechanisms = ['EXTERNAL']\nclient_ca = 'x'").is_ok());
    }

    #[test]
    fn the_web_address_is_the_public_one_or_that_of_a_listener() {
        let mut config = Config::default();
        assert_eq!(config.web_address("a.example").unwrap(), "https://a.example:5443");
        config.listen.https = vec!["[::]:443".parse().unwrap()];
        assert_eq!(config.web_address("a.example").unwrap(), "https://a.example");
        config.listen.https.clear();
        assert_eq!(config.web_address("a.example").unwrap(), "http://a.example:5280");
        config.listen.http.clear();
        assert_eq!(config.web_address("a.example"), None);
        config.http.public_url = "https://chat.example/".into();
        assert_eq!(config.web_address("a.example").unwrap(), "https://chat.example");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let variables = [
            ("WELLO_HOSTS", "[\"a.example\"]"),
            ("WELLO_STORAGE__URL", "postgres://u@h/d"),
            ("WELLO_LIMITS__LOGIN_SECONDS", "5"),
            ("HOME", "/"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::parse("hosts = ['b.example']", variables).unwrap();
        assert_eq!(config.domains(), ["a.example"]);
        assert_eq!(config.storage.url, "postgres://u@h/d");
        assert_eq!(config.limits.login_seconds, 5);
        let unknown = [("WELLO_STORAGE__URI".to_owned(), "x".to_owned())];
        assert!(Config::parse("", unknown).is_err());
    }
}
