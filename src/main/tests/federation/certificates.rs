//! An authority of the tests.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

const DAY: Duration = Duration::from_secs(86400);

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq)]
pub enum Flaw {
    None,
    Expired,
    OtherName,
    /// The domain is in the subject's CN alone, and another in subjectAltName.
    CommonName,
    /// For an account of the domain, not for the domain.
    Account,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().unwrap();
        Authority { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.crt");
        std::fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// PEM of a certificate for the domain and what lies below, and of its key.
    pub fn issue(&self, domain: &str, flaw: Flaw) -> (String, String) {
        let mut params = CertificateParams::default();
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        params.subject_alt_names = match flaw {
            Flaw::OtherName => vec![dns("other.example")],
            Flaw::CommonName => {
                let forged = format!("{domain}, CN=other.example");
                params.distinguished_name.push(DnType::CommonName, forged);
                params.distinguished_name.push(DnType::OrganizationName, domain);
                vec![dns("other.example")]
            }
            Flaw::Account => {
                // id-on-xmppAddr.
                let oid = vec![1, 3, 6, 1, 5, 5, 7, 8, 5];
                let jid = format!("romeo@{domain}");
                vec![SanType::OtherName((oid, jid.into()))]
            }
            Flaw::None | Flaw::Expired => vec![dns(domain), dns(&format!("*.{domain}"))],
        };
        let age = if flaw == Flaw::Expired { 20 * DAY } else { DAY };
        params.not_before = (SystemTime::now() - age).into();
        params.not_after = (SystemTime::now() - age + 10 * DAY).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
