//! The configuration file: every key has a default, unknown keys are errors.

mod audience;
mod calls;
mod defaults;
mod env;
mod guests;
mod mistake;
mod privacy;
mod s2s;
mod services;
mod turn;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use wello_stream::sasl::Mechanism;
use wello_wire::xml::Limits;

pub use audience::Audience;
pub use calls::Calls;
pub use env::overrides_from_env;
pub use guests::{Guests, LinkMakers};
pub use mistake::Mistake;
pub use privacy::{HostPrivacy, Privacy};
pub use s2s::{Component, S2s};
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
pub struct Listen {
    pub c2s: Vec<SocketAddr>,
    pub c2s_tls: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub http: Vec<SocketAddr>,
    pub bytestreams: Vec<SocketAddr>,
    /// STUN and TURN by UDP and TCP.
    pub turn: Vec<SocketAddr>,
    /// The same by TLS.
    pub turns: Vec<SocketAddr>,
    pub components: Vec<SocketAddr>,
    /// UDP and TCP, all media of conferences: a thread for each.
    pub media: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub min_version: TlsVersion,
    /// Networks whose connections begin with a PROXY protocol header; empty: none do.
    pub proxy_protocol_from: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum AcmeChallenge {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    pub enabled: bool,
    pub challenge: AcmeChallenge,
    pub directory: String,
    pub contact: Vec<String>,
    /// PEM file of the authority that signed the directory's own certificate, if not public.
    pub root: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub url: String,
    pub connections: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    Closed,
    Invite,
    Open,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mechanisms: Vec<String>,
    pub scram_iterations: u32,
    pub registration: Registration,
    pub max_failures: u32,
    pub failure_window_seconds: u64,
    pub token_days: u32,
    pub invite_days: u32,
    /// Who may make links by which somebody becomes their contact, with an account here unless
    /// registration is closed.
    pub contact_invites: Audience,
    /// Who may make links by which somebody gets an account here.
    pub account_invites: Audience,
    pub registrations_per_hour: u32,
    /// PEM file of the authorities whose certificates name accounts (SASL EXTERNAL).
    pub client_ca: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    pub stanza_bytes: usize,
    pub depth: usize,
    pub attributes: usize,
    pub elements: usize,
    pub preauth_stanza_bytes: usize,
    pub preauth_elements: usize,
    pub login_seconds: u64,
    pub idle_seconds: u64,
    pub rate_bytes_per_second: u64,
    pub burst_bytes: u64,
    pub outbox_bytes: usize,
    pub connections: usize,
    pub unauthenticated: usize,
    pub unauthenticated_per_address: usize,
    pub roster_items: usize,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    pub per_account: usize,
    pub hibernate_seconds: u64,
    pub unacked_bytes: usize,
    pub drain_seconds: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ArchivePolicy {
    Always,
    Roster,
    Never,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    pub enabled: bool,
    pub policy: ArchivePolicy,
    pub keep_days: u32,
    pub page_size: u32,
    pub page_max: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Offline {
    pub enabled: bool,
    pub messages: u64,
    pub bytes: u64,
}

/// Nodes of accounts and of the service `pubsub.D` (XEP-0060).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PubSub {
    /// Who may make nodes at `pubsub.D`.
    pub create: Audience,
    pub nodes: u64,
    pub items: u64,
    pub item_bytes: usize,
    pub bytes: u64,
    pub subscriptions: u64,
    pub affiliations: u64,
}

/// Multi-user chat (XEP-0045).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// Who may make rooms.
    pub create: Audience,
    /// Rooms that one account may own.
    pub per_account: usize,
    /// Of one room.
    pub occupants: usize,
    /// Of one room, outcasts included.
    pub affiliations: usize,
    pub nick_bytes: usize,
    /// From one account to one room; 0 is no limit.
    pub presence_per_minute: u32,
    /// Messages that newcomers may be shown, whatever a room's owner wants.
    pub history: u32,
    /// What a new room begins with, until its owner changes it.
    pub default_history: u32,
    pub persistent: bool,
    pub public: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub public_url: String,
    pub trusted_proxies: Vec<String>,
    pub metrics_from: Vec<String>,
    pub cors_origins: Vec<String>,
    pub body_bytes: usize,
    pub bosh_wait_seconds: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Uploads {
    pub enabled: bool,
    pub max_bytes: u64,
    pub day_bytes: u64,
    pub account_bytes: u64,
    pub profile_bytes: u64,
    pub keep_days: u32,
    /// `None`: in the data directory.
    pub s3: Option<S3>,
}

/// A bucket of Amazon S3 or of a service that speaks its protocol.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    pub endpoint: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
    #[serde(default = "defaults::s3_region")]
    pub region: String,
    /// Before the names of all files, for a bucket that is shared.
    #[serde(default)]
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Ptt {
    pub clip_bytes: usize,
    pub clip_seconds: u64,
    pub clip_days: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    pub with_sender: bool,
    pub with_body: bool,
    pub placeholder: String,
    /// The app server at `push.D`.
    pub app_server: bool,
    /// May have addresses that are not public.
    pub private_hosts: Vec<String>,
    /// PEM file of the authorities of these hosts, if not public.
    pub root: Option<PathBuf>,
    pub fcm: Option<Fcm>,
    pub apns: Option<Apns>,
}

/// Firebase Cloud Messaging, HTTP v1.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Fcm {
    /// JSON file of the service account.
    pub service_account: PathBuf,
    #[serde(default = "defaults::fcm_endpoint")]
    pub endpoint: String,
}

/// Apple Push Notification service.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Apns {
    /// The file with the signing key (.p8).
    pub key: PathBuf,
    pub key_id: String,
    pub team_id: String,
    /// Bundle id of the app.
    pub topic: String,
    #[serde(default = "defaults::apns_endpoint")]
    pub endpoint: String,
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
        let (hosts, guests) = (self.domains(), self.guest_domains());
        if let Some(taken) = guests.iter().find(|domain| hosts.contains(&domain.as_str())) {
            let reason = format!("{taken} is a host, and guests have their addresses there");
            return Err(ConfigError::Value { key: "guests.enabled", reason });
        }
        let own: Vec<&str> = hosts.into_iter().chain(guests.iter().map(String::as_str)).collect();
        self.component.iter().try_for_each(|component| component.check(&own))?;
        self.calls.check()?;
        self.guests.check()?;
        self.auth.check()
    }
}

impl Auth {
    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: String| Err(ConfigError::Value { key, reason });
        if self.scram_iterations < 4096 {
            let reason = "must be at least 4096 (RFC 7677)".to_owned();
            return value("auth.scram_iterations", reason);
        }
        // The others come by themselves: -PLUS with TLS, HT-* with token_days.
        let usable = |one: &Mechanism| !one.is_fast() && !one.name().ends_with("-PLUS");
        for name in &self.mechanisms {
            if !name.parse::<Mechanism>().is_ok_and(|mechanism| usable(&mechanism)) {
                let names: Vec<_> =
                    Mechanism::ALL.iter().filter(|m| usable(m)).map(|m| m.name()).collect();
                let reason = format!("{name:?} is none of {}", names.join(", "));
                return value("auth.mechanisms", reason);
            }
        }
        let external = self.mechanisms.iter().any(|name| name == Mechanism::External.name());
        if external && self.client_ca.is_none() {
            return value("auth.client_ca", "EXTERNAL needs it".to_owned());
        }
        Ok(())
    }
}

impl LimitsConfig {
    /// For a peer that has logged in.
    pub fn stream(&self) -> Limits {
        Limits {
            stanza_bytes: self.stanza_bytes,
            depth: self.depth,
            attributes: self.attributes,
            elements: self.elements,
        }
    }

    /// For a peer that has not.
    pub fn before_login(&self) -> Limits {
        Limits {
            stanza_bytes: self.preauth_stanza_bytes,
            elements: self.preauth_elements,
            ..self.stream()
        }
    }
}

impl Sessions {
    pub fn hibernation(&self) -> Duration {
        Duration::from_secs(self.hibernate_seconds)
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
