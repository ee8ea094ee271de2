//! What the authority asks for to see that a name is ours.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use instant_acme::{ChallengeHandle, ChallengeType};
use parking_lot::RwLock;

use crate::tls::{CertificateStore, DnsName};

use super::error::AcmeError;

/// How hold on a name is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// RFC 8555 §8.3: a file on port 80.
    Http01,
    /// RFC 8737: a certificate on port 443.
    TlsAlpn01,
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

impl From<ChallengeKind> for ChallengeType {
    fn from(kind: ChallengeKind) -> Self {
        match kind {
            ChallengeKind::Http01 => Self::Http01,
            ChallengeKind::TlsAlpn01 => Self::TlsAlpn01,
        }
    }
}

/// Answers to http-01 challenges, for the HTTP listeners: the body of
/// `/.well-known/acme-challenge/TOKEN`, to be sent as application/octet-stream.
#[derive(Default)]
pub struct ChallengeStore {
    key_authorizations: RwLock<HashMap<String, String>>,
}

impl ChallengeStore {
    pub fn lookup(&self, token: &str) -> Option<String> {
        self.key_authorizations.read().get(token).cloned()
    }
}

/// The places where answers are put for the authority to find.
pub(super) struct Answers {
    pub(super) kind: ChallengeKind,
    pub(super) http: Arc<ChallengeStore>,
    pub(super) tls: Arc<CertificateStore>,
}

/// Answers that are out; dropping takes them back.
pub(super) struct Provided<'a> {
    answers: &'a Answers,
    tokens: Vec<String>,
    domains: Vec<DnsName>,
}

impl Answers {
    pub(super) fn nothing_yet(&self) -> Provided<'_> {
        Provided { answers: self, tokens: Vec::new(), domains: Vec::new() }
    }
}

impl Provided<'_> {
    pub(super) fn answer(
        &mut self,
        domain: &DnsName,
        challenge: &ChallengeHandle<'_>,
    ) -> Result<(), AcmeError> {
        let key_authorization = challenge.key_authorization();
        match self.answers.kind {
            ChallengeKind::Http01 => {
                let mut answers = self.answers.http.key_authorizations.write();
                answers.insert(challenge.token.clone(), key_authorization.as_str().to_owned());
                self.tokens.push(challenge.token.clone());
            }
            ChallengeKind::TlsAlpn01 => {
                let mut digest = [0; 32]; // SHA-256, by RFC 8737 §3
                digest.copy_from_slice(key_authorization.digest().as_ref());
                self.answers.tls.challenges().insert(domain.clone(), &digest)?;
                self.domains.push(domain.clone());
            }
        }
        Ok(())
    }
}

impl Drop for Provided<'_> {
    fn drop(&mut self) {
        let mut answers = self.answers.http.key_authorizations.write();
        for token in &self.tokens {
            answers.remove(token);
        }
        for domain in &self.domains {
            self.answers.tls.challenges().remove(domain);
        }
    }
}
