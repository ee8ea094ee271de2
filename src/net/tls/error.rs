use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

/// Why a certificate cannot be used; the text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("no host is configured")]
    NoHosts,
    #[error("host {domain:?}: not a domain name")]
    BadDomain { domain: String },
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "{}: this private key does not belong to the certificate in {} \
         (the host's own certificate must come first in that file, its issuers after it)",
        key.display(), certificate.display()
    )]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("{}: the certificate expired at {since}", path.display())]
    Expired { path: PathBuf, since: Timestamp },
    #[error("{}: the certificate is not valid before {until}", path.display())]
    NotYetValid { path: PathBuf, until: Timestamp },
    #[error("{}: the certificate is for {names}; it does not cover {domain}", path.display())]
    WrongName { path: PathBuf, names: String, domain: String },
    #[error("the system trusts no certification authority{reason}; install ca-certificates")]
    NoRoots { reason: String },
    #[error("making a self-signed certificate for {domain}: {reason}")]
    SelfSigned { domain: String, reason: String },
}

/// Why a TLS handshake did not end in a stream.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("handshake not finished in time")]
    Timeout,
    /// The peer went away, or the socket failed.
    #[error("connection lost during the handshake: {0}")]
    Io(io::Error),
    /// The peer violated the protocol or shares no version, cipher or application protocol.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::Tls(tls.clone()),
            None => Self::Io(error),
        }
    }
}
