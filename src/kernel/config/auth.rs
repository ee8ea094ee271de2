//! Logins and how accounts come to be.

use std::path::PathBuf;

use serde::Deserialize;
use wello_stream::sasl::Mechanism;

use super::{Audience, ConfigError};

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
    /// From one address.
    pub registrations_per_hour: u32,
    /// From one block of addresses, within an hour, too.
    pub registrations_per_block: u32,
    /// How long nobody gets the name of a deleted account; 0: never again.
    pub tombstone_days: u32,
    /// PEM file of the authorities whose certificates name accounts (SASL EXTERNAL).
    pub client_ca: Option<PathBuf>,
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
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
