//! The STUN and TURN server inside.

use std::net::IpAddr;

use serde::Deserialize;

use super::ConfigError;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// What clients are told; empty: the external address, or the domain of the account.
    pub host: String,
    /// As the outside sees this machine, if a router translates: at most one of each family.
    pub external_address: Vec<IpAddr>,
    /// Of this machine, to be relayed from; empty: those of the default routes.
    pub relay_address: Vec<IpAddr>,
    pub min_port: u16,
    pub max_port: u16,
    pub allow_private_peers: bool,
    /// Networks that may be reached whatever they are.
    pub allowed_peers: Vec<String>,
    pub allocations: usize,
    pub allocations_per_user: usize,
    pub allocations_per_address: usize,
    /// Of one allocation in one direction; 0 is no limit.
    pub bytes_per_second: u64,
    pub credentials_hours: u32,
    /// Answers to one address that has shown no credentials; 0 is no limit.
    pub unauthenticated_per_second: u32,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn {
            host: String::new(),
            external_address: Vec::new(),
            relay_address: Vec::new(),
            // RFC 8656, section 7.2.
            min_port: 49152,
            max_port: 65535,
            allow_private_peers: false,
            allowed_peers: Vec::new(),
            allocations: 5000,
            allocations_per_user: 50,
            allocations_per_address: 500,
            bytes_per_second: 0,
            credentials_hours: 24,
            unauthenticated_per_second: 50,
        }
    }
}

impl Turn {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.min_port < 1024 || self.min_port > self.max_port {
            return value("turn.min_port", "must be at least 1024 and not above max_port");
        }
        if self.credentials_hours == 0 {
            return value("turn.credentials_hours", "must be at least 1");
        }
        for (key, addresses) in [
            ("turn.external_address", &self.external_address),
            ("turn.relay_address", &self.relay_address),
        ] {
            let of = |ipv4| addresses.iter().filter(|ip| ip.is_ipv4() == ipv4).count();
            if of(true) > 1 || of(false) > 1 {
                return value(key, "at most one IPv4 and one IPv6 address");
            }
            if addresses.iter().any(|ip| ip.is_unspecified() || ip.is_multicast()) {
                return value(key, "must be the address of a machine");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_cannot_be_meant() {
        for wrong in [
            "min_port = 80",
            "min_port = 50001\nmax_port = 50000",
            "credentials_hours = 0",
            "external_address = ['192.0.2.1', '192.0.2.2']",
            "relay_address = ['0.0.0.0']",
        ] {
            assert!(Config::parse(&format!("[turn]\n{wrong}"), []).is_err(), "{wrong}");
        }
        let both = "[turn]\nexternal_address = ['192.0.2.1', '2001:db8::1']";
        assert!(Config::parse(both, []).is_ok());
    }
}
