//! Why an authentication failed: for the peer (RFC 6120, section 6.5) and for the log.

use thiserror::Error;

/// The end of an exchange that did not authenticate the peer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}: {reason}", condition.name())]
pub struct Failure {
    pub condition: Condition,
    pub reason: Reason,
}

/// The conditions of RFC 6120, section 6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    Aborted,
    AccountDisabled,
    CredentialsExpired,
    EncryptionRequired,
    IncorrectEncoding,
    InvalidAuthzid,
    InvalidMechanism,
    MalformedRequest,
    MechanismTooWeak,
    NotAuthorized,
    TemporaryAuthFailure,
}

/// What exactly went wrong. None of them tells whether an account exists.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Reason {
    #[error("the peer aborted")]
    Aborted,
    #[error("no such mechanism")]
    UnknownMechanism,
    #[error("mechanism was not offered")]
    MechanismNotOffered,
    #[error("invalid base64")]
    Base64,
    #[error("message is too long")]
    TooLong,
    #[error("message is not UTF-8")]
    NotUtf8,
    #[error("message does not have the syntax of the mechanism")]
    Syntax,
    #[error("message came out of turn")]
    OutOfTurn,
    #[error("user name is not valid")]
    UserName,
    #[error("mandatory extension is not supported")]
    MandatoryExtension,
    #[error("channel binding and mechanism do not fit")]
    BindingMismatch,
    #[error("channel-binding type was not offered")]
    BindingTypeNotOffered,
    #[error("peer saw no channel binding, but it was offered")]
    BindingDowngrade,
    #[error("channel-binding data differs")]
    BindingData,
    #[error("nonce differs")]
    Nonce,
    #[error("credentials were not accepted")]
    Credentials,
    #[error("authorization identity is another one's")]
    ForeignAuthzid,
    #[error("the account may not be used")]
    Account,
    #[error("credentials could not be looked up")]
    Unavailable,
}

impl Failure {
    pub const fn new(condition: Condition, reason: Reason) -> Failure {
        Failure { condition, reason }
    }

    pub(super) const fn malformed(reason: Reason) -> Failure {
        Failure::new(Condition::MalformedRequest, reason)
    }

    pub(super) const fn not_authorized(reason: Reason) -> Failure {
        Failure::new(Condition::NotAuthorized, reason)
    }

    /// The store or the account service did not answer.
    pub const UNAVAILABLE: Failure =
        Failure::new(Condition::TemporaryAuthFailure, Reason::Unavailable);

    /// The peer sent `<abort/>` (RFC 6120, section 6.4.4).
    pub const ABORTED: Failure = Failure::new(Condition::Aborted, Reason::Aborted);

    /// The `server-error-value` of RFC 5802, section 7, for the human-readable `<text/>`: XMPP
    /// has no place for the `e=` attribute, because its `<failure/>` carries no SASL data.
    pub fn scram_error(self) -> &'static str {
        match self.reason {
            Reason::Base64 | Reason::NotUtf8 | Reason::Syntax => "invalid-encoding",
            Reason::MandatoryExtension => "extensions-not-supported",
            Reason::Credentials => "invalid-proof",
            Reason::BindingData => "channel-bindings-dont-match",
            Reason::BindingDowngrade => "server-does-support-channel-binding",
            Reason::BindingMismatch => "channel-binding-not-supported",
            Reason::BindingTypeNotOffered => "unsupported-channel-binding-type",
            Reason::UserName => "invalid-username-encoding",
            Reason::Unavailable => "no-resources",
            _ => "other-error",
        }
    }
}

impl Condition {
    pub const ALL: [Condition; 11] = [
        Condition::Aborted,
        Condition::AccountDisabled,
        Condition::CredentialsExpired,
        Condition::EncryptionRequired,
        Condition::IncorrectEncoding,
        Condition::InvalidAuthzid,
        Condition::InvalidMechanism,
        Condition::MalformedRequest,
        Condition::MechanismTooWeak,
        Condition::NotAuthorized,
        Condition::TemporaryAuthFailure,
    ];

    /// The condition with that element name.
    pub fn from_name(name: &str) -> Option<Condition> {
        Condition::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// The element name in `urn:ietf:params:xml:ns:xmpp-sasl`.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Aborted => "aborted",
            Condition::AccountDisabled => "account-disabled",
            Condition::CredentialsExpired => "credentials-expired",
            Condition::EncryptionRequired => "encryption-required",
            Condition::IncorrectEncoding => "incorrect-encoding",
            Condition::InvalidAuthzid => "invalid-authzid",
            Condition::InvalidMechanism => "invalid-mechanism",
            Condition::MalformedRequest => "malformed-request",
            Condition::MechanismTooWeak => "mechanism-too-weak",
            Condition::NotAuthorized => "not-authorized",
            Condition::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }

    /// Whether another attempt on the same stream can succeed (RFC 6120, section 6.4.5), by the
    /// user or by the client with another mechanism.
    pub fn may_retry(self) -> bool {
        !matches!(self, Condition::AccountDisabled | Condition::EncryptionRequired)
    }
}
