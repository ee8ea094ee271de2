//! SASL mechanism names, channel-binding types and what of them a stream offers.

use std::fmt;
use std::str::FromStr;

use super::failure::{Condition, Failure, Reason};
use super::hash::ScramHash;

/// A SASL mechanism that this server can play the server side of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4422, appendix A: a client or server certificate.
    External,
    /// RFC 5802 and RFC 7677; `plus` is the variant with channel binding.
    Scram { hash: ScramHash, plus: bool },
    /// The Hashed Token mechanisms that XEP-0484 uses, with SHA-256.
    HtSha256(HtBinding),
    /// RFC 7628.
    OauthBearer,
    /// RFC 4616.
    Plain,
}

/// The last part of the name of a Hashed Token mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HtBinding {
    /// `tls-exporter`
    Expr,
    /// `tls-server-end-point`
    Endp,
    None,
}

/// A channel-binding type, named as in the IANA registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingType {
    /// RFC 9266
    TlsExporter,
    /// RFC 5929, section 4
    TlsServerEndPoint,
}

/// The channel-binding data of one TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// Keying material exported as RFC 9266 says. Leave it out for TLS 1.2 without the extended
    /// master secret, which does not bind it to the channel.
    pub tls_exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate as RFC 5929, section 4.1 says.
    pub tls_server_end_point: Option<Vec<u8>>,
}

/// What one stream advertises. Nothing else is accepted from the peer, and the downgrade
/// protection of XEP-0474 signs exactly this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The mechanisms of the SASL profile in use (RFC 6120 or XEP-0388), in the order of the
    /// features.
    pub mechanisms: Vec<Mechanism>,
    /// The mechanisms inside the `fast` feature (XEP-0484).
    pub fast: Vec<Mechanism>,
    /// The channel-binding types of XEP-0440; empty if that feature is not sent.
    pub bindings: Vec<BindingType>,
}

impl Mechanism {
    /// Every mechanism, the strongest first.
    pub const ALL: [Mechanism; 12] = {
        use ScramHash::{Sha1, Sha256, Sha512};
        [
            Mechanism::External,
            Mechanism::Scram { hash: Sha512, plus: true },
            Mechanism::Scram { hash: Sha256, plus: true },
            Mechanism::Scram { hash: Sha1, plus: true },
            Mechanism::HtSha256(HtBinding::Expr),
            Mechanism::HtSha256(HtBinding::Endp),
            Mechanism::Scram { hash: Sha512, plus: false },
            Mechanism::Scram { hash: Sha256, plus: false },
            Mechanism::Scram { hash: Sha1, plus: false },
            Mechanism::HtSha256(HtBinding::None),
            Mechanism::OauthBearer,
            Mechanism::Plain,
        ]
    };

    /// The name in the IANA registry.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::External => "EXTERNAL",
            Mechanism::Scram { hash: ScramHash::Sha1, plus: false } => "SCRAM-SHA-1",
            Mechanism::Scram { hash: ScramHash::Sha1, plus: true } => "SCRAM-SHA-1-PLUS",
            Mechanism::Scram { hash: ScramHash::Sha256, plus: false } => "SCRAM-SHA-256",
            Mechanism::Scram { hash: ScramHash::Sha256, plus: true } => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram { hash: ScramHash::Sha512, plus: false } => "SCRAM-SHA-512",
            Mechanism::Scram { hash: ScramHash::Sha512, plus: true } => "SCRAM-SHA-512-PLUS",
            Mechanism::HtSha256(HtBinding::Expr) => "HT-SHA-256-EXPR",
            Mechanism::HtSha256(HtBinding::Endp) => "HT-SHA-256-ENDP",
            Mechanism::HtSha256(HtBinding::None) => "HT-SHA-256-NONE",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Plain => "PLAIN",
        }
    }

    /// Whether the name tells that the mechanism binds to the TLS channel.
    pub fn binds_channel(self) -> bool {
        match self {
            Mechanism::Scram { plus, .. } => plus,
            Mechanism::HtSha256(binding) => binding.channel_binding().is_some(),
            Mechanism::External | Mechanism::OauthBearer | Mechanism::Plain => false,
        }
    }

    /// Whether the client has the password.
    pub fn takes_password(self) -> bool {
        matches!(self, Mechanism::Scram { .. } | Mechanism::Plain)
    }

    /// Whether it belongs into the `fast` feature (XEP-0484) instead of the mechanism list.
    pub fn is_fast(self) -> bool {
        matches!(self, Mechanism::HtSha256(_))
    }

    /// Whether the channel has what the mechanism binds to.
    fn is_possible_with(self, channel: &ChannelBindings) -> bool {
        match self {
            Mechanism::Scram { plus: true, .. } => channel.types().next().is_some(),
            Mechanism::HtSha256(ht) => match ht.channel_binding() {
                Some(binding) => channel.data(binding).is_some(),
                None => true,
            },
            _ => true,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = Failure;

    /// Mechanism names are compared as they stand: RFC 4422, section 3.1 allows upper case only.
    fn from_str(name: &str) -> Result<Mechanism, Failure> {
        let found = Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name);
        found.ok_or(Failure::new(Condition::InvalidMechanism, Reason::UnknownMechanism))
    }
}

impl HtBinding {
    /// The channel binding behind the name, if any.
    pub fn channel_binding(self) -> Option<BindingType> {
        match self {
            HtBinding::Expr => Some(BindingType::TlsExporter),
            HtBinding::Endp => Some(BindingType::TlsServerEndPoint),
            HtBinding::None => None,
        }
    }
}

impl BindingType {
    /// Every type, the strongest first.
    pub const ALL: [BindingType; 2] = [BindingType::TlsExporter, BindingType::TlsServerEndPoint];

    /// The "channel-binding unique prefix" of the IANA registry.
    pub fn name(self) -> &'static str {
        match self {
            BindingType::TlsExporter => "tls-exporter",
            BindingType::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    /// The type of that name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<BindingType> {
        BindingType::ALL.into_iter().find(|binding| binding.name() == name)
    }
}

impl ChannelBindings {
    /// The data of that type on this channel.
    pub fn data(&self, binding: BindingType) -> Option<&[u8]> {
        match binding {
            BindingType::TlsExporter => self.tls_exporter.as_ref().map(|data| data.as_slice()),
            BindingType::TlsServerEndPoint => self.tls_server_end_point.as_deref(),
        }
    }

    /// The types that have data on this channel, the strongest first.
    pub fn types(&self) -> impl Iterator<Item = BindingType> {
        BindingType::ALL.into_iter().filter(|binding| self.data(*binding).is_some())
    }
}

impl Offer {
    /// What of the `enabled` mechanisms a channel can carry, the strongest first. The
    /// channel-binding types are offered exactly if a mechanism uses them (XEP-0440, business
    /// rules 4 and 5).
    pub fn new(enabled: &[Mechanism], channel: &ChannelBindings) -> Offer {
        let usable = |mechanism: &Mechanism| {
            enabled.contains(mechanism) && mechanism.is_possible_with(channel)
        };
        let (fast, mechanisms): (Vec<_>, Vec<_>) =
            Mechanism::ALL.into_iter().filter(usable).partition(|mechanism| mechanism.is_fast());
        let bound = mechanisms.iter().chain(&fast).any(|mechanism| mechanism.binds_channel());
        let bindings = if bound { channel.types().collect() } else { Vec::new() };
        Offer { mechanisms, fast, bindings }
    }

    /// The mechanism of that name if it was offered.
    ///
    /// # Errors
    /// `invalid-mechanism` for everything else (RFC 6120, section 6.5.7).
    pub fn select(&self, name: &str) -> Result<Mechanism, Failure> {
        let mechanism: Mechanism = name.parse()?;
        match self.contains(mechanism) {
            true => Ok(mechanism),
            false => Err(Failure::new(Condition::InvalidMechanism, Reason::MechanismNotOffered)),
        }
    }

    /// Whether the peer was told of this mechanism.
    pub fn contains(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism) || self.fast.contains(&mechanism)
    }

    /// Whether a SCRAM mechanism with channel binding was among the offered ones.
    pub(super) fn has_scram_plus(&self) -> bool {
        let plus = |mechanism: &Mechanism| matches!(mechanism, Mechanism::Scram { plus: true, .. });
        self.mechanisms.iter().any(plus)
    }

    /// The string that XEP-0474, section 5.1 has the server hash.
    pub(super) fn downgrade_protected(&self) -> String {
        let mut mechanisms: Vec<_> = self.mechanisms.iter().map(|one| one.name()).collect();
        mechanisms.sort_unstable();
        let mut text = mechanisms.join("\x1e");
        if !self.bindings.is_empty() {
            let mut bindings: Vec<_> = self.bindings.iter().map(|one| one.name()).collect();
            bindings.sort_unstable();
            text.push('\x1f');
            text.push_str(&bindings.join("\x1e"));
        }
        text
    }
}
