//! Certificates that the server makes for itself, so that a fresh installation speaks TLS.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::CertificateError;
use super::host::Leaf;
use super::names::{DnsPattern, HostName, SubjectNames, XmppAddr};
use super::pem::{CertificateFiles, load_chain, read_text, unusable, write_file};

/// The services below each host.
pub(crate) const SERVICES: [&str; 8] =
    ["conference", "upload", "pubsub", "push", "search", "calls", "proxy", "queue"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that Apple's platforms take from a certificate the user trusts by hand.
const LIFETIME: Duration = DAY.saturating_mul(825);
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// Clients' clocks may be slow.
const BACKDATE: Duration = Duration::from_secs(60 * 60);
/// Tells our own certificates from those that an operator put in the same place.
const ORGANIZATION: &str = "Wello self-signed certificate";

/// Makes sure that `directory` has a usable certificate for the host; says where.
///
/// What an operator may have put there is never overwritten: neither a certificate that we did
/// not make, nor any key; a key that is there is used.
pub(crate) fn ensure(
    directory: &Path,
    host: &HostName,
    now: SystemTime,
) -> Result<CertificateFiles, CertificateError> {
    let files = CertificateFiles {
        certificate: directory.join(format!("{host}.crt")),
        key: directory.join(format!("{host}.key")),
    };
    if let Some(reason) = renewal_reason(&files, host, now)? {
        let file = files.certificate.display();
        tracing::info!(%host, %reason, %file, "making a self-signed certificate");
        make(&files, host, now)?;
    }
    Ok(files)
}

/// Why a certificate has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Missing,
    OtherKey,
    ExpiresSoon,
    NamesChanged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is none",
            Self::OtherKey => "the present one does not belong to the key",
            Self::ExpiresSoon => "the present one expires soon",
            Self::NamesChanged => "the present one has other names",
        })
    }
}

fn renewal_reason(
    files: &CertificateFiles,
    host: &HostName,
    now: SystemTime,
) -> Result<Option<Reason>, CertificateError> {
    if !files.certificate.exists() {
        return Ok(Some(Reason::Missing));
    }
    let (ours, leaf) = inspect(&files.certificate)?;
    Ok(if !ours {
        None
    } else if !files.key.exists() || matches!(files.load(), Err(CertificateError::Mismatch { .. }))
    {
        Some(Reason::OtherKey)
    } else if now + RENEW_BEFORE > leaf.validity.not_after || now < leaf.validity.not_before {
        Some(Reason::ExpiresSoon)
    } else if plain_names(&leaf.names) != wanted_names(host) {
        Some(Reason::NamesChanged)
    } else {
        None
    })
}

fn inspect(path: &Path) -> Result<(bool, Leaf), CertificateError> {
    let chain = load_chain(path)?;
    let leaf = Leaf::parse(&chain[0], path)?;
    let ours = X509Certificate::from_der(&chain[0]).is_ok_and(|(_, certificate)| {
        certificate
            .issuer()
            .iter_organization()
            .any(|organization| organization.as_str() == Ok(ORGANIZATION))
    });
    Ok((ours, leaf))
}

fn make(
    files: &CertificateFiles,
    host: &HostName,
    now: SystemTime,
) -> Result<(), CertificateError> {
    let key = present_or_new_key(&files.key, host)?;
    let certificate = params(host, now)
        .and_then(|params| params.self_signed(&key))
        .map_err(|error| failed(host, &error))?;
    write_file(&files.certificate, certificate.pem().as_bytes(), 0o644)
}

/// Keeping the key keeps the pins of clients that trust this certificate by its key.
fn present_or_new_key(path: &Path, host: &HostName) -> Result<KeyPair, CertificateError> {
    if path.exists() {
        return KeyPair::from_pem(&read_text(path)?)
            .map_err(|error| unusable(path, &format!("this private key cannot be used: {error}")));
    }
    let key = KeyPair::generate().map_err(|error| failed(host, &error))?; // ECDSA P-256
    write_file(path, key.serialize_pem().as_bytes(), 0o600)?;
    Ok(key)
}

fn params(host: &HostName, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = wanted_names(host).into_iter().collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    // X.520 ends a common name at 64 characters.
    if host.to_string().len() <= 64 {
        params.distinguished_name.push(DnType::CommonName, host.to_string());
    }
    params.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now - BACKDATE + LIFETIME).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Servers show the same certificate when they connect (XEP-0178).
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn failed(host: &HostName, error: &rcgen::Error) -> CertificateError {
    CertificateError::SelfSigned { domain: host.to_string(), reason: error.to_string() }
}

fn wanted_names(host: &HostName) -> BTreeSet<String> {
    match host {
        HostName::Ip(ip) => BTreeSet::from([ip.to_string()]),
        HostName::Dns(name) => {
            let services = SERVICES.iter().map(|service| format!("{service}.{name}"));
            let mut names: BTreeSet<String> = services.chain([name.to_string()]).collect();
            if name.as_str() == "localhost" {
                let loopback: [IpAddr; 2] =
                    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                names.extend(loopback.iter().map(IpAddr::to_string));
            }
            names
        }
    }
}

fn plain_names(names: &SubjectNames) -> BTreeSet<String> {
    let dns = names.xmpp.iter().filter_map(|addr| match addr {
        XmppAddr::Domain(pattern) => Some(DnsPattern::to_string(pattern)),
        XmppAddr::Address(_) | XmppAddr::Service(..) => None,
    });
    dns.chain(names.ips.iter().map(IpAddr::to_string)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn localhost() -> HostName {
        HostName::new("localhost").unwrap()
    }

    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let files = ensure(dir.path(), &localhost(), now).unwrap();
        let first = fs::read(&files.certificate).unwrap();
        assert_eq!(files.certificate, dir.path().join("localhost.crt"));
        let mode = fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let (ours, leaf) = inspect(&files.certificate).unwrap();
        assert!(ours);
        let lifetime = leaf.validity.not_after.duration_since(leaf.validity.not_before).unwrap();
        assert!(lifetime <= LIFETIME);
        let names = plain_names(&leaf.names);
        for name in ["localhost", "conference.localhost", "queue.localhost", "127.0.0.1", "::1"] {
            assert!(names.contains(name), "{name} in {names:?}");
        }

        ensure(dir.path(), &localhost(), now + 700 * DAY).unwrap();
        assert_eq!(fs::read(&files.certificate).unwrap(), first);
        ensure(dir.path(), &localhost(), now + 800 * DAY).unwrap();
        assert_ne!(fs::read(&files.certificate).unwrap(), first, "renewed within 30 days");
    }

    #[test]
    fn remade_when_names_or_files_do_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let files = ensure(dir.path(), &localhost(), now).unwrap();

        let other = HostName::new("example.test").unwrap();
        assert_eq!(renewal_reason(&files, &other, now).unwrap(), Some(Reason::NamesChanged));
        assert_eq!(renewal_reason(&files, &localhost(), now).unwrap(), None);

        let new_key = KeyPair::generate().unwrap().serialize_pem();
        write_file(&files.key, new_key.as_bytes(), 0o600).unwrap();
        assert_eq!(renewal_reason(&files, &localhost(), now).unwrap(), Some(Reason::OtherKey));
        ensure(dir.path(), &localhost(), now).unwrap().load().unwrap();
        assert_eq!(fs::read_to_string(&files.key).unwrap(), new_key, "a key is never replaced");

        fs::remove_file(&files.key).unwrap();
        ensure(dir.path(), &localhost(), now).unwrap().load().unwrap();
        fs::remove_file(&files.certificate).unwrap();
        ensure(dir.path(), &localhost(), now).unwrap().load().unwrap();
    }

    #[test]
    fn damaged_files_of_the_operator_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let files = ensure(dir.path(), &localhost(), now).unwrap();
        fs::write(&files.certificate, "damaged").unwrap();
        assert!(ensure(dir.path(), &localhost(), now).is_err());
        fs::remove_file(&files.certificate).unwrap();
        fs::write(&files.key, "damaged").unwrap();
        assert!(ensure(dir.path(), &localhost(), now).is_err());
        assert_eq!(fs::read_to_string(&files.key).unwrap(), "damaged");
    }

    #[test]
    fn certificate_of_the_operator_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(dir.path().join("localhost.crt"), &pem).unwrap();
        fs::write(dir.path().join("localhost.key"), key.serialize_pem()).unwrap();
        let files = ensure(dir.path(), &localhost(), SystemTime::now()).unwrap();
        assert_eq!(fs::read_to_string(files.certificate).unwrap(), pem);
    }

    #[test]
    fn ip_host() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostName::new("[::1]").unwrap();
        let files = ensure(dir.path(), &host, SystemTime::now()).unwrap();
        let (_, leaf) = inspect(&files.certificate).unwrap();
        assert!(leaf.names.covers(&host));
    }
}
