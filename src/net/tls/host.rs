//! One host's certificate, ready to be served.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::client::client_config;
use super::client_auth::AnyCertificate;
use super::error::CertificateError;
use super::fingerprint;
use super::kind::ListenerKind;
use super::names::{DnsName, HostName, SubjectNames};
use super::pem::{CertificateFiles, parse_pair, unusable};
use super::provider::crypto_provider;
use super::store::TlsOptions;

/// Where a host's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateOrigin {
    Configured,
    Acme,
    SelfSigned,
}

/// A host's certificate with everything that is derived from it.
#[derive(Debug)]
pub struct HostCertificate {
    domain: String,
    host: HostName,
    origin: CertificateOrigin,
    names: SubjectNames,
    validity: Validity,
    fingerprint: [u8; 32],
    server_end_point: Option<Box<[u8]>>,
    problem: Option<CertificateError>,
    ticketer: Arc<dyn ProducesTickets>,
    /// One for each of `ListenerKind::ALL`, in that order.
    configs: Vec<Arc<ServerConfig>>,
    /// To other servers: by STARTTLS, and direct.
    clients: [Arc<ClientConfig>; 2],
}

/// What a host certificate is built from.
pub(crate) struct HostSource<'a> {
    pub(crate) domain: &'a str,
    pub(crate) host: HostName,
    pub(crate) files: &'a CertificateFiles,
    pub(crate) origin: CertificateOrigin,
    pub(crate) options: &'a TlsOptions,
}

impl HostCertificate {
    /// A certificate that is readable but expired or for other names is built all the same, with
    /// its `problem`; the caller decides whether it is better than nothing.
    ///
    /// `previous` hands on its ticket keys if the leaf is still the same. With another leaf they
    /// must not live on: a resumed client binds to the certificate it saw first, we to this one.
    pub(crate) fn load(
        source: HostSource<'_>,
        previous: Option<&HostCertificate>,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let path = source.files.certificate.as_path();
        let key = Arc::new(source.files.load()?);
        let leaf = Leaf::parse(key.end_entity_cert().map_err(|e| invalid(path, &e))?, path)?;
        let problem = leaf.problem(path, source.domain, &source.host, now);
        let ticketer = match previous.filter(|old| old.fingerprint == leaf.fingerprint) {
            Some(old) => Arc::clone(&old.ticketer),
            None => Ticketer::new().map_err(|e| invalid(path, &e))?,
        };
        let configs = ListenerKind::ALL
            .into_iter()
            .map(|kind| server_config(&key, &ticketer, kind, source.options).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(|e| invalid(path, &e))?;
        let client = |direct| {
            let config = client_config(&key, source.options.tls12, direct);
            config.map(Arc::new).map_err(|e| invalid(path, &e))
        };
        let clients = [client(false)?, client(true)?];
        Ok(Self {
            domain: source.domain.to_owned(),
            host: source.host,
            origin: source.origin,
            names: leaf.names,
            validity: leaf.validity,
            fingerprint: leaf.fingerprint,
            server_end_point: leaf.server_end_point,
            problem,
            ticketer,
            configs,
            clients,
        })
    }

    /// The XMPP host as configured.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn origin(&self) -> CertificateOrigin {
        self.origin
    }

    /// SHA-256 over the DER of the leaf.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Channel binding `tls-server-end-point` (RFC 5929 §4); None where the RFC defines none.
    pub fn server_end_point(&self) -> Option<&[u8]> {
        self.server_end_point.as_deref()
    }

    pub fn not_before(&self) -> SystemTime {
        self.validity.not_before
    }

    pub fn expires(&self) -> SystemTime {
        self.validity.not_after
    }

    /// What clients will object to (expired, not for this domain), while it is served for want
    /// of a better one.
    pub fn problem(&self) -> Option<&CertificateError> {
        self.problem.as_ref()
    }

    /// Whether the certificate's dNSName entries cover `name`, wildcards included.
    pub fn covers(&self, name: &DnsName) -> bool {
        self.names.dns_covers(name)
    }

    pub(crate) fn take_problem(&mut self) -> Option<CertificateError> {
        self.problem.take()
    }

    pub(crate) fn host(&self) -> &HostName {
        &self.host
    }

    pub(crate) fn config(&self, kind: ListenerKind) -> Arc<ServerConfig> {
        Arc::clone(&self.configs[kind as usize])
    }

    /// For a connection to another server. `direct`: TLS comes first (XEP-0368).
    pub(crate) fn client_config(&self, direct: bool) -> Arc<ClientConfig> {
        Arc::clone(&self.clients[usize::from(direct)])
    }
}

/// A validity period (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// What we need of a parsed leaf certificate.
pub(crate) struct Leaf {
    pub(crate) names: SubjectNames,
    pub(crate) validity: Validity,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) server_end_point: Option<Box<[u8]>>,
}

impl Leaf {
    pub(crate) fn parse(der: &CertificateDer<'_>, path: &Path) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|e| invalid(path, &e))?;
        if !rest.is_empty() {
            return Err(unusable(path, "bytes after the end of the certificate"));
        }
        Ok(Self {
            names: SubjectNames::of(&parsed).map_err(|e| invalid(path, &e))?,
            validity: Validity {
                not_before: system_time(parsed.validity().not_before),
                not_after: system_time(parsed.validity().not_after),
            },
            fingerprint: fingerprint::sha256(der),
            server_end_point: fingerprint::server_end_point(der, &parsed),
        })
    }

    fn problem(
        &self,
        path: &Path,
        domain: &str,
        host: &HostName,
        now: SystemTime,
    ) -> Option<CertificateError> {
        let path = path.to_owned();
        let Validity { not_before, not_after } = self.validity;
        if now > not_after {
            Some(CertificateError::Expired { path, since: timestamp(not_after) })
        } else if now < not_before {
            Some(CertificateError::NotYetValid { path, until: timestamp(not_before) })
        } else if !self.names.covers(host) {
            let names = self.names.to_string();
            Some(CertificateError::WrongName { path, names, domain: domain.to_owned() })
        } else {
            None
        }
    }
}

/// Whether a PEM text (key and chain) would do for this host; `path` is for the error.
pub(crate) fn check_pem(
    pem: &[u8],
    path: &Path,
    host: &HostName,
    now: SystemTime,
) -> Result<(), CertificateError> {
    let key = parse_pair(pem, pem, path, path)?;
    let leaf = Leaf::parse(key.end_entity_cert().map_err(|e| invalid(path, &e))?, path)?;
    match leaf.problem(path, &host.to_string(), host, now) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Timestamp::from_second(i64::try_from(second).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

fn system_time(time: ASN1Time) -> SystemTime {
    // Before 1970 is as good as 1970 to us.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn server_config(
    key: &Arc<CertifiedKey>,
    ticketer: &Arc<dyn ProducesTickets>,
    kind: ListenerKind,
    options: &TlsOptions,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = if kind.requests_certificate(options.client_certificates) {
        AnyCertificate::verifier()
    } else {
        WebPkiClientVerifier::no_client_auth()
    };
    let versions = if options.tls12 { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS13] };
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(key)));
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols =
        kind.alpn().iter().map(|alpn| alpn.as_str().as_bytes().to_vec()).collect();
    config.ticketer = Arc::clone(ticketer);
    // Resumption is by ticket alone: a session cache would cost memory and a lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Every resumption brings a new ticket, and an XMPP client holds one connection.
    config.send_tls13_tickets = 1;
    // A replayed first stanza must not count (RFC 8446 §8).
    config.max_early_data_size = 0;
    Ok(config)
}

fn invalid(path: &Path, reason: &dyn std::fmt::Display) -> CertificateError {
    unusable(path, &format!("the certificate cannot be used: {reason}"))
}
