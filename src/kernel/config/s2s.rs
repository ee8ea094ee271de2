//! Other servers.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use wello_wire::jid::Jid;
use wello_wire::xml::Limits;

use super::{ConfigError, LimitsConfig, Rate};

/// Streams with other servers.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct S2s {
    pub enabled: bool,
    pub listen: Vec<SocketAddr>,
    /// XEP-0368.
    pub listen_tls: Vec<SocketAddr>,
    /// Otherwise dialback will do.
    pub require_certificate: bool,
    /// The same for some domains.
    pub require_certificate_of: Vec<String>,
    pub deny: Vec<String>,
    /// Empty: all that are not denied.
    pub allow: Vec<String>,
    /// PEM file of further authorities.
    pub ca: Option<PathBuf>,
    pub nameserver: Option<SocketAddr>,
    /// RFC 7673: certificates that are in DNS, whose signatures are checked then.
    pub dane: bool,
    /// File of DNSKEY records; otherwise those of the root.
    pub trust_anchor: Option<PathBuf>,
    /// RFC 7711: certificates that are on the website of a domain.
    pub posh: bool,
    pub private_networks: Vec<String>,
    /// XEP-0288.
    pub bidi: bool,
    /// 0: not at all.
    pub resume_seconds: u64,
    pub stanza_bytes: usize,
    pub outbox_bytes: usize,
    pub rate_bytes_per_second: u64,
    pub burst_bytes: u64,
    pub connections: usize,
    pub connections_per_domain: usize,
    /// Of those that have proved who they are; others count among `limits`.
    pub connections_per_address: usize,
    pub domains: usize,
    pub connect_seconds: u64,
    pub retry_seconds: u64,
    pub idle_seconds: u64,
}

impl Default for S2s {
    fn default() -> S2s {
        let everywhere = |port| vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
        S2s {
            enabled: true,
            listen: everywhere(5269),
            listen_tls: everywhere(5270),
            require_certificate: false,
            require_certificate_of: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            ca: None,
            nameserver: None,
            dane: false,
            trust_anchor: None,
            posh: true,
            private_networks: Vec::new(),
            bidi: true,
            resume_seconds: 120,
            stanza_bytes: 512 * 1024,
            outbox_bytes: 4 * 1024 * 1024,
            rate_bytes_per_second: 4 * 1024 * 1024,
            burst_bytes: 16 * 1024 * 1024,
            connections: 10_000,
            connections_per_domain: 20,
            connections_per_address: 2000,
            domains: 10_000,
            connect_seconds: 30,
            retry_seconds: 30,
            idle_seconds: 600,
        }
    }
}

impl S2s {
    /// For a server that has proved who it is.
    pub fn stream(&self, limits: &LimitsConfig) -> Limits {
        Limits { stanza_bytes: self.stanza_bytes, ..limits.stream() }
    }

    /// Of a connection that another server has made.
    pub fn rate(&self) -> Rate {
        Rate { bytes_per_second: self.rate_bytes_per_second, burst_bytes: self.burst_bytes }
    }

    pub fn connect(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub fn resumption(&self) -> Duration {
        Duration::from_secs(self.resume_seconds)
    }

    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }

    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: String| Err(ConfigError::Value { key, reason });
        // RFC 6120, section 13.12.
        if self.stanza_bytes < 10_000 {
            return value("s2s.stanza_bytes", "must be at least 10000".to_owned());
        }
        if self.outbox_bytes < self.stanza_bytes {
            return value("s2s.outbox_bytes", "must hold at least one stanza_bytes".to_owned());
        }
        for (key, list) in [
            ("s2s.deny", &self.deny),
            ("s2s.allow", &self.allow),
            ("s2s.require_certificate_of", &self.require_certificate_of),
        ] {
            let bad = list.iter().find(|name| !is_domain(name.strip_prefix("*.").unwrap_or(name)));
            if let Some(bad) = bad {
                return value(key, format!("{bad:?} is neither a domain nor *.DOMAIN"));
            }
        }
        Ok(())
    }
}

fn is_domain(name: &str) -> bool {
    name.parse::<Jid>().is_ok_and(|jid| jid.is_domain())
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Config::parse(text, []).unwrap_err().to_string();
        assert!(error("[s2s]\ndeny = ['a@b']").contains("a@b"));
        assert!(error("[s2s]\nstanza_bytes = 1").contains("10000"));
        assert!(error("[s2s]\nlisten_to = []").contains("listen_tls"));
        assert!(Config::parse("[s2s]\ndeny = ['*.evil.example', 'b.example']", []).is_ok());
    }
}
