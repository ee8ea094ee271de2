use std::fmt;
use std::path::PathBuf;

use crate::tls::{CertificateError, ChallengeError};

use super::challenge::ChallengeKind;

/// Why there is no certificate; the text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error(transparent)]
    Protocol(#[from] instant_acme::Error),
    #[error("{}: {reason}", path.display())]
    Account { path: PathBuf, reason: String },
    #[error("the authority offers no {kind} challenge for {name}")]
    NoChallenge { kind: ChallengeKind, name: String },
    #[error("the authority refused {}", join(.0))]
    Refused(Vec<Refusal>),
    #[error("the authority did not finish in time")]
    Timeout,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The store has another certificate for the host: one in files, or it does not know the host.
    #[error("the certificate for {domain} was obtained but is not in use")]
    NotInUse { domain: String },
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("making a certificate request: {0}")]
    Request(#[from] rcgen::Error),
    #[error("TLS to the authority: {0}")]
    Tls(#[from] rustls::Error),
}

/// A name that the authority does not certify for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub name: String,
    pub reason: String,
}

impl AcmeError {
    /// The authority's problem type without its namespace (RFC 8555 §6.7).
    pub(super) fn problem_type(&self) -> Option<&str> {
        match self {
            Self::Protocol(instant_acme::Error::Api(problem)) => {
                problem.r#type.as_deref()?.strip_prefix("urn:ietf:params:acme:error:")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.reason)
    }
}

fn join(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join(", ")
}
