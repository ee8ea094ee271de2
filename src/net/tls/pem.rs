//! Certificate and key files.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::CertificateError;
use super::provider::crypto_provider;

/// Where the PEM certificate chain (leaf first) and its private key are; one file may hold both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateFiles {
    pub(crate) fn load(&self) -> Result<CertifiedKey, CertificateError> {
        let (chain, key) = (read(&self.certificate)?, read(&self.key)?);
        parse_pair(&chain, &key, &self.certificate, &self.key)
    }
}

/// Certificates of a PEM file, at least one.
pub(crate) fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    parse_chain(&read(path)?, path)
}

/// A chain and its key from PEM texts; the paths are for the errors.
pub(crate) fn parse_pair(
    chain: &[u8],
    key: &[u8],
    chain_path: &Path,
    key_path: &Path,
) -> Result<CertifiedKey, CertificateError> {
    let chain = parse_chain(chain, chain_path)?;
    let key = parse_key(key, key_path)?;
    CertifiedKey::from_der(chain, key, &crypto_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
            key: key_path.to_owned(),
            certificate: chain_path.to_owned(),
        },
        rustls::Error::InvalidCertificate(reason) => {
            unusable(chain_path, &format!("not a valid X.509 certificate ({reason:?})"))
        }
        other => unusable(key_path, &format!("this private key cannot be used: {other}")),
    })
}

fn parse_chain(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, &format!("not a valid PEM file: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(path, "no certificate in this file (PEM block CERTIFICATE)"));
    }
    Ok(chain)
}

fn parse_key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(text, b"BEGIN ENCRYPTED PRIVATE KEY") => {
            unusable(path, "the private key has a passphrase; remove it with: openssl pkey -in KEY")
        }
        pem::Error::NoItemsFound => {
            unusable(path, "no private key in this file (PEM block PRIVATE KEY)")
        }
        other => unusable(path, &format!("not a valid PEM file: {other}")),
    })
}

/// Replaces a file in one step, so that a crash or a reader never meets half of it.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), CertificateError> {
    let failed = |source| CertificateError::Write { path: path.to_owned(), source };
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = directory.join(name);
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        // The mode above does nothing for a file that a crash left behind.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(failed)
}

pub(crate) fn unusable(path: &Path, reason: &str) -> CertificateError {
    CertificateError::Unusable { path: path.to_owned(), reason: reason.to_owned() }
}

pub(crate) fn read_text(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path)
        .map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}
