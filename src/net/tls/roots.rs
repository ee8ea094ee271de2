//! Certification authorities that are trusted.

use std::path::Path;

use rustls::RootCertStore;

use super::error::CertificateError;
use super::pem::{load_chain, unusable};

/// The authorities that the operating system trusts. Blocks on files.
pub fn system_roots() -> Result<RootCertStore, CertificateError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(CertificateError::NoRoots { reason });
    }
    Ok(roots)
}

/// The authorities in a PEM file. Blocks on the file.
pub fn roots_from_file(path: &Path) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in load_chain(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error.to_string()))?;
    }
    Ok(roots)
}
