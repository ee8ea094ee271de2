//! The documents of RFC 7711, section 3.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha512};

use super::PoshError;

/// Fingerprints of certificates, or where they are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Document {
    Fingerprints { fingerprints: Vec<Fingerprint>, expires: u64 },
    Reference { url: String, expires: u64 },
}

/// One certificate by its hashes, in base64.
#[derive(Clone, Debug, Deserialize)]
pub struct Fingerprint {
    #[serde(rename = "sha-256")]
    sha256: Option<String>,
    #[serde(rename = "sha-512")]
    sha512: Option<String>,
}

/// More certificates than any server changes between.
const MAX_FINGERPRINTS: usize = 32;
/// A certificate that was stolen is not to be good for longer, whatever the document says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Document {
    pub fn parse(json: &[u8]) -> Result<Document, PoshError> {
        let document: Document = serde_json::from_slice(json).map_err(|_| PoshError::Document)?;
        // Section 3: what expires at once is as good as nothing.
        match document.expires() {
            Duration::ZERO => Err(PoshError::Document),
            _ => Ok(document),
        }
    }

    pub fn expires(&self) -> Duration {
        let (Document::Fingerprints { expires, .. } | Document::Reference { expires, .. }) = self;
        Duration::from_secs(*expires).min(LONGEST)
    }
}

/// Whether one of them is of the certificate.
pub fn confirm(fingerprints: &[Fingerprint], certificate: &CertificateDer<'_>) -> bool {
    fingerprints.iter().take(MAX_FINGERPRINTS).any(|one| one.is_of(certificate))
}

impl Fingerprint {
    /// By the strongest hash that is there.
    fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let decoded = |text: &String| BASE64_STANDARD.decode(text).ok();
        match (&self.sha512, &self.sha256) {
            (Some(text), _) => {
                decoded(text).is_some_and(|hash| hash == Sha512::digest(certificate)[..])
            }
            (None, Some(text)) => {
                decoded(text).is_some_and(|hash| hash == Sha256::digest(certificate)[..])
            }
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &[u8]) -> (String, String) {
        let sha256 = BASE64_STANDARD.encode(Sha256::digest(text));
        (sha256, BASE64_STANDARD.encode(Sha512::digest(text)))
    }

    fn names(fingerprints: &str, certificate: &'static [u8]) -> bool {
        let json = format!(r#"{{"fingerprints":[{fingerprints}],"expires":60}}"#);
        match Document::parse(json.as_bytes()).unwrap() {
            Document::Fingerprints { fingerprints, .. } => {
                confirm(&fingerprints, &CertificateDer::from(certificate))
            }
            Document::Reference { .. } => panic!("{json}"),
        }
    }

    #[test]
    fn certificates_are_named_by_their_strongest_hash() {
        let (sha256, sha512) = hashes(b"one");
        let (other, other_512) = hashes(b"two");
        assert!(names(&format!(r#"{{"sha-256":"{sha256}"}}"#), b"one"));
        assert!(names(&format!(r#"{{"sha-256":"{other}"}},{{"sha-512":"{sha512}"}}"#), b"one"));
        assert!(!names(&format!(r#"{{"sha-256":"{other}"}}"#), b"one"));
        let both = format!(r#"{{"sha-256":"{sha256}","sha-512":"{other_512}"}}"#);
        assert!(!names(&both, b"one"), "the weaker one is not enough");
        assert!(!names(r#"{"sha-1":"AAAA"},{"sha-256":"no base64"},{}"#, b"one"));
        assert!(!names("", b"one"));
    }

    #[test]
    fn documents_expire() {
        let expires =
            |json: &str| Document::parse(json.as_bytes()).map(|it| it.expires().as_secs());
        assert_eq!(expires(r#"{"url":"https://h.example/x","expires":60,"more":1}"#), Ok(60));
        let year = expires(r#"{"fingerprints":[],"expires":31536000}"#);
        assert_eq!(year, Ok(LONGEST.as_secs()));
        for bad in [
            r#"{"fingerprints":[],"expires":0}"#,
            r#"{"fingerprints":[],"expires":-1}"#,
            r#"{"fingerprints":[]}"#,
            r#"{"url":7,"expires":60}"#,
            r#"{"expires":60}"#,
            "[]",
            "",
        ] {
            assert_eq!(expires(bad), Err(PoshError::Document), "{bad}");
        }
    }
}
