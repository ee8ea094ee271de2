//! Whether a certificate is good for the domain of a server (RFC 6120, section 13.7.1.2).

use std::fmt;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use wello_kernel::config::S2s;
use wello_store::Timestamp;
use wello_stream::s2s::Domain;

use super::dane::Associations;
use super::lookup::Resolver;
use super::posh::{Posh, PoshError};
use crate::tls::{DnsName, PeerCertificateError, validate_client_certificate};

#[derive(Debug, Error)]
pub enum Untrusted {
    #[error(transparent)]
    Certificate(#[from] PeerCertificateError),
    #[error("the certificate is not for {0}")]
    OtherDomain(Domain),
    #[error("DNS names another certificate (DANE)")]
    NotInDns,
    #[error("{0}, and its website names another (POSH)")]
    NotOnWebsite(Box<Untrusted>),
    #[error("{0}, and its website names none (POSH): {1}")]
    NoWebsite(Box<Untrusted>, PoshError),
}

/// Who says that a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Authority,
    Dane,
    Posh,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proof::Authority => "an authority",
            Proof::Dane => "DNS (DANE)",
            Proof::Posh => "the website of its domain (POSH)",
        })
    }
}

/// Asks everybody who may know.
pub struct Verifier {
    roots: RootCertStore,
    /// `None` if the operator does not want it.
    posh: Option<Posh>,
}

impl Verifier {
    /// `roots`: whose certificates are good.
    pub fn new(roots: RootCertStore, config: &S2s) -> Result<Verifier, rustls::Error> {
        let posh = config.posh.then(|| Posh::new(&roots, config.domains)).transpose()?;
        Ok(Verifier { roots, posh })
    }

    pub fn check(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &Domain,
        now: Timestamp,
    ) -> Result<(), Untrusted> {
        check(chain, &self.roots, domain, now)
    }

    /// What the domain has put into DNS decides, if it has. Otherwise authorities are believed, and at last the website
    /// of the domain.
    pub async fn prove(
        &self,
        resolver: &Resolver,
        chain: &[CertificateDer<'_>],
        associations: &Associations,
        domain: &Domain,
        now: Timestamp,
    ) -> Result<Proof, Untrusted> {
        if !associations.is_empty() {
            let confirmed = associations.confirm(chain, domain, now);
            return confirmed.then_some(Proof::Dane).ok_or(Untrusted::NotInDns);
        }
        let error = match (self.check(chain, domain, now), chain.first(), &self.posh) {
            (Ok(()), ..) => return Ok(Proof::Authority),
            (Err(error), Some(leaf), Some(posh)) => {
                match posh.confirms(resolver, domain, leaf).await {
                    Ok(true) => return Ok(Proof::Posh),
                    Ok(false) => Untrusted::NotOnWebsite(Box::new(error)),
                    Err(silence) => Untrusted::NoWebsite(Box::new(error), silence),
                }
            }
            (Err(error), ..) => error,
        };
        Err(error)
    }
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
