//! The certificates of all hosts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;

use super::challenge::AlpnChallenges;
use super::error::CertificateError;
use super::host::{CertificateOrigin, HostCertificate, HostSource};
use super::names::{DnsName, HostName};
use super::pem::CertificateFiles;
use super::self_signed;

#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Self-signed certificates are kept in `certs/` and those from ACME in `acme/` below it.
    pub data_dir: PathBuf,
    /// The first is served to clients that send no SNI or an unknown one.
    pub hosts: Vec<HostTls>,
    /// Ask XMPP clients for a certificate (SASL EXTERNAL). Servers are always asked.
    pub client_certificates: bool,
    /// Offer TLS 1.2 as well as 1.3.
    pub tls12: bool,
}

#[derive(Clone, Debug)]
pub struct HostTls {
    pub domain: String,
    pub files: Option<CertificateFiles>,
    /// Without `files`: use what ACME obtained, and a self-signed certificate until then.
    pub acme: bool,
}

/// Certificates by host; exchanged as a whole on reload, so a handshake sees one state.
pub struct CertificateStore {
    options: RwLock<Arc<TlsOptions>>,
    table: RwLock<Arc<Table>>,
    challenges: AlpnChallenges,
}

impl CertificateStore {
    /// Reads, or makes, the certificate of every host. Blocks on files.
    ///
    /// A certificate that is expired or does not cover its host is served all the same (a server
    /// that refuses to start helps nobody) and logged; see [`HostCertificate::problem`].
    pub fn open(options: TlsOptions, now: SystemTime) -> Result<Self, Vec<CertificateError>> {
        let (table, errors) = Table::build(&options, None, now);
        let Some(table) = table.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        for problem in table.entries.iter().filter_map(|entry| entry.problem()) {
            tracing::error!(%problem, "clients will reject this certificate");
        }
        Ok(Self {
            options: RwLock::new(Arc::new(options)),
            table: RwLock::new(Arc::new(table)),
            challenges: AlpnChallenges::default(),
        })
    }

    /// Reads all files again (SIGHUP, renewal). A host whose new certificate has something wrong
    /// with it keeps the old one; what is wrong is logged and returned. Blocks on files.
    pub fn reload(&self, now: SystemTime) -> Vec<CertificateError> {
        let options = Arc::clone(&self.options.read());
        self.rebuild(&options, now)
    }

    /// Like [`Self::reload`], with changed options.
    pub fn reconfigure(&self, options: TlsOptions, now: SystemTime) -> Vec<CertificateError> {
        let options = Arc::new(options);
        *self.options.write() = Arc::clone(&options);
        self.rebuild(&options, now)
    }

    fn rebuild(&self, options: &TlsOptions, now: SystemTime) -> Vec<CertificateError> {
        let previous = Arc::clone(&self.table.read());
        let (table, errors) = Table::build(options, Some(&previous), now);
        for error in &errors {
            tracing::error!(%error, "certificate not loaded");
        }
        if let Some(table) = table {
            *self.table.write() = Arc::new(table);
        }
        errors
    }

    /// The certificate to serve for an SNI value: that of the host with this name, else one that
    /// covers it, else that of the host above it (`conference.example.org` → `example.org`),
    /// else the first host's.
    pub fn lookup(&self, sni: Option<&str>) -> Arc<HostCertificate> {
        let table = Arc::clone(&self.table.read());
        let found = sni.and_then(DnsName::new).and_then(|name| table.find(&name));
        Arc::clone(found.unwrap_or(&table.entries[0]))
    }

    /// The certificate of one host.
    pub fn host(&self, domain: &str) -> Option<Arc<HostCertificate>> {
        self.table.read().by_domain(domain).cloned()
    }

    /// All hosts in the configured order (expiry metrics, checks).
    pub fn hosts(&self) -> Vec<Arc<HostCertificate>> {
        self.table.read().entries.clone()
    }

    pub fn challenges(&self) -> &AlpnChallenges {
        &self.challenges
    }
}

struct Table {
    /// Never empty.
    entries: Vec<Arc<HostCertificate>>,
    by_name: HashMap<DnsName, usize>,
}

impl Table {
    /// A table unless some host would be left without any certificate, and all errors.
    fn build(
        options: &TlsOptions,
        previous: Option<&Table>,
        now: SystemTime,
    ) -> (Option<Self>, Vec<CertificateError>) {
        let mut table = Self { entries: Vec::new(), by_name: HashMap::new() };
        let mut errors = Vec::new();
        for wanted in &options.hosts {
            let old = previous.and_then(|table| table.by_domain(&wanted.domain));
            let loaded = load_host(options, wanted, old, now);
            match (loaded, old) {
                (Ok(new), None) => table.add(Arc::new(new)),
                (Ok(mut new), Some(old)) => match new.take_problem() {
                    None => table.add(Arc::new(new)),
                    Some(problem) => {
                        errors.push(problem);
                        table.add(Arc::clone(old));
                    }
                },
                (Err(error), Some(old)) => {
                    errors.push(error);
                    table.add(Arc::clone(old));
                }
                (Err(error), None) => errors.push(error),
            }
        }
        if options.hosts.is_empty() {
            errors.push(CertificateError::NoHosts);
        }
        let table = Some(table).filter(|table| !table.entries.is_empty());
        (table, errors)
    }

    fn add(&mut self, entry: Arc<HostCertificate>) {
        if let HostName::Dns(name) = entry.host() {
            self.by_name.insert(name.clone(), self.entries.len());
        }
        self.entries.push(entry);
    }

    fn by_domain(&self, domain: &str) -> Option<&Arc<HostCertificate>> {
        self.entries.iter().find(|entry| entry.domain() == domain)
    }

    fn find(&self, name: &DnsName) -> Option<&Arc<HostCertificate>> {
        if let Some(index) = self.by_name.get(name) {
            return Some(&self.entries[*index]);
        }
        self.entries.iter().find(|entry| entry.covers(name)).or_else(|| {
            let above = |entry: &&Arc<HostCertificate>| match entry.host() {
                HostName::Dns(host) => name.is_within(host),
                HostName::Ip(_) => false,
            };
            self.entries.iter().filter(above).max_by_key(|entry| entry.domain().len())
        })
    }
}

fn load_host(
    options: &TlsOptions,
    wanted: &HostTls,
    old: Option<&Arc<HostCertificate>>,
    now: SystemTime,
) -> Result<HostCertificate, CertificateError> {
    let domain = wanted.domain.as_str();
    let host = HostName::new(domain)
        .ok_or_else(|| CertificateError::BadDomain { domain: domain.to_owned() })?;
    let load = |files: &CertificateFiles, origin| {
        let source = HostSource { domain, host: host.clone(), files, origin, options };
        HostCertificate::load(source, old.map(Arc::as_ref), now)
    };
    if let Some(files) = &wanted.files {
        return load(files, CertificateOrigin::Configured);
    }
    if wanted.acme {
        let file = acme_file(&options.data_dir, &host);
        if file.exists() {
            let files = CertificateFiles { certificate: file.clone(), key: file };
            match (load(&files, CertificateOrigin::Acme), old) {
                (Ok(entry), None) if entry.problem().is_some() => {}
                (Err(error), None) => tracing::error!(%error, "certificate not loaded"),
                (result, _) => return result,
            }
        }
    }
    let files = self_signed::ensure(&options.data_dir.join("certs"), &host, now)?;
    load(&files, CertificateOrigin::SelfSigned)
}

/// Where a certificate from ACME belongs: chain and key in one file, so that no crash can leave a
/// pair that does not match.
pub fn acme_file(data_dir: &Path, host: &HostName) -> PathBuf {
    data_dir.join("acme").join(format!("{host}.pem"))
}
