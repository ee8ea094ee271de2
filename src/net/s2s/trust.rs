//! Whether a certificate is good for the domain of a server (RFC 6120, section 13.7.1.2).

use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use wello_store::Timestamp;
use wello_stream::s2s::Domain;

use crate::tls::{DnsName, PeerCertificateError, validate_client_certificate};

#[derive(Debug, Error)]
pub enum Untrusted {
    #[error(transparent)]
    Certificate(#[from] PeerCertificateError),
    #[error("the certificate is not for {0}")]
    OtherDomain(Domain),
}

/// The chain is as the handshake delivered it, leaf first.
pub fn check(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    domain: &Domain,
    now: Timestamp,
) -> Result<(), Untrusted> {
    // Before 1970 no certificate is valid either.
    let now = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    let names = validate_client_certificate(chain, roots, UnixTime::since_unix_epoch(now))?;
    let name = DnsName::new(domain.as_str());
    match name.is_some_and(|name| names.iter().any(|it| it.authorizes_server(&name))) {
        true => Ok(()),
        false => Err(Untrusted::OtherDomain(domain.clone())),
    }
}
