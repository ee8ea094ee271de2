//! TLS for every listener: certificates per host, handshake, channel bindings, and the
//! validation of certificates that peers show.

mod acceptor;
mod challenge;
mod client;
mod client_auth;
mod error;
mod fingerprint;
mod host;
mod kind;
mod names;
mod pem;
mod provider;
mod roots;
mod self_signed;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use acceptor::{ChannelBindings, TlsAcceptor, TlsInfo, TlsStream};
pub use challenge::{AlpnChallenges, ChallengeError};
pub(crate) use client::anonymous_client;
pub use client_auth::{PeerCertificateError, validate_client_certificate};
pub use error::{CertificateError, HandshakeError};
pub use host::{CertificateOrigin, HostCertificate};
pub(crate) use host::{check_pem, timestamp};
pub use kind::{Alpn, ListenerKind};
pub use names::{DnsName, DnsPattern, HostName, XmppAddr};
pub use pem::CertificateFiles;
pub(crate) use pem::write_file;
pub use provider::crypto_provider;
pub use roots::{roots_from_file, system_roots};
pub(crate) use self_signed::SERVICES;
pub use store::{CertificateStore, HostTls, TlsOptions, acme_file};
