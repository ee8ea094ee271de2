//! Services outside the server that clients are told of.

use serde::Deserialize;

use super::{ConfigError, defaults};

/// One of them, such as a STUN or TURN server (XEP-0215).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExternalService {
    /// `stun`, `turn`, `stuns`, `turns` or another of the registry.
    #[serde(rename = "type")]
    pub kind: String,
    pub host: String,
    pub port: Option<u16>,
    pub transport: Option<Transport>,
    /// For people.
    pub name: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    /// What is shared with the service, so that each client can be given credentials that expire.
    pub secret: Option<String>,
    /// How long those are good for.
    #[serde(default = "defaults::credentials_hours")]
    pub credentials_hours: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

impl ExternalService {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |reason: &str| {
            let reason = format!("{} at {}: {reason}", self.kind, self.host);
            Err(ConfigError::Value { key: "external_service", reason })
        };
        if self.kind.is_empty() || self.host.is_empty() {
            return value("type and host must not be empty");
        }
        if self.username.is_some() != self.password.is_some() {
            return value("username and password must be given together");
        }
        if self.secret.is_some() && self.username.is_some() {
            return value("either a secret or a username and password");
        }
        if self.secret.as_ref().is_some_and(String::is_empty) {
            return value("the secret must not be empty");
        }
        if self.credentials_hours == 0 {
            return value("credentials_hours must be at least 1");
        }
        Ok(())
    }
}
