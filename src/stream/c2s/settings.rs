//! What a stream needs to know of the server.

use std::collections::HashMap;
use std::time::Duration;

use wello_wire::jid::BareJid;
use wello_wire::xml::{Element, Limits};

use super::features::FeatureCache;
use crate::sasl::{FakeKeys, Mechanism};

/// Shared by all streams; replaced as a whole when the configuration changes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By domain.
    pub hosts: HashMap<String, HostSettings>,
    pub limits_before_login: Limits,
    pub limits: Limits,
    /// Announced as XEP-0478 `idle-seconds`.
    pub idle: Duration,
    /// How long a session may be resumed (XEP-0198 `max`).
    pub hibernation: Duration,
    /// Features that take part in Bind 2 (XEP-0386), besides those of the stream itself.
    pub bind_inline: Vec<&'static str>,
    pub fakes: FakeKeys,
    /// For keys that clients compute (XEP-0480).
    pub scram_iterations: u32,
}

/// One domain.
#[derive(Clone, Debug)]
pub struct HostSettings {
    pub domain: BareJid,
    /// Those that the operator allows, `-PLUS` variants included.
    pub mechanisms: Vec<Mechanism>,
    /// Accounts can be made on the stream (XEP-0077, XEP-0445).
    pub registration: RegistrationOffer,
    /// Further stream features for clients that have logged in.
    pub features: Vec<Element>,
    /// What was made of all this for streams; begins empty.
    pub written: FeatureCache,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOffer {
    Closed,
    /// With an invitation's token only.
    Invite,
    Open,
}
