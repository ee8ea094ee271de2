//! Answers to an ACME server that checks our hold on a domain by TLS (tls-alpn-01, RFC 8737).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::names::DnsName;
use super::provider::crypto_provider;

/// RFC 8737 §6.2.
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Domains that are being checked, each with its special certificate.
#[derive(Default)]
pub struct AlpnChallenges {
    pending: RwLock<HashMap<DnsName, Arc<ServerConfig>>>,
}

/// The validation certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl AlpnChallenges {
    /// Starts answering for `domain` with the SHA-256 of the challenge's key authorization.
    pub fn insert(&self, domain: DnsName, digest: &[u8; 32]) -> Result<(), ChallengeError> {
        let config = Arc::new(validation_config(&domain, digest)?);
        self.pending.write().insert(domain, config);
        Ok(())
    }

    pub fn remove(&self, domain: &DnsName) {
        self.pending.write().remove(domain);
    }

    /// The answer to a ClientHello that is a validation of a pending domain: it offers
    /// `acme-tls/1` and nothing else (RFC 8737 §3).
    pub(crate) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        if !hello.alpn()?.eq([ACME_TLS]) {
            return None;
        }
        let name = DnsName::new(hello.server_name()?)?;
        self.pending.read().get(&name).cloned()
    }
}

/// RFC 8737 §3: self-signed, the domain as its only dNSName, and a critical acmeIdentifier.
fn validation_config(domain: &DnsName, digest: &[u8; 32]) -> Result<ServerConfig, ChallengeError> {
    let mut params = CertificateParams::new(vec![domain.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = crypto_provider().key_provider.load_private_key(key)?;
    // Not `with_single_cert`: that parses the certificate, and refuses the critical extension.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
