//! Certificates that peers show us (SASL EXTERNAL, XEP-0178).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::{SubjectNames, XmppAddr};
use super::provider::crypto_provider;

/// Longest chain that is looked at; real ones have 2 to 4 certificates.
const MAX_CHAIN: usize = 10;

/// Why a peer's certificate proves nothing to us.
#[derive(Debug, thiserror::Error)]
pub enum PeerCertificateError {
    #[error("the peer showed no certificate")]
    Missing,
    #[error("more than {MAX_CHAIN} certificates")]
    ChainTooLong,
    #[error("malformed certificate")]
    Malformed,
    /// Unknown issuer, expired, wrong purpose …
    #[error("not trusted: {0}")]
    Untrusted(webpki::Error),
    #[error("the certificate names no XMPP address and no domain")]
    NoName,
}

/// Validates a certificate chain (leaf first, as the handshake delivered it) against `roots` and
/// returns the names it proves: id-on-xmppAddr, dNSName and SRV names of the leaf (RFC 6120
/// §13.7.1.4), never its CN.
///
/// Serves both directions, a server that connects to us and one that we connect to: public CAs
/// no longer put clientAuth in their certificates, so serverAuth or clientAuth will do.
pub fn validate_client_certificate(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<Vec<XmppAddr>, PeerCertificateError> {
    let (leaf, intermediates) = chain.split_first().ok_or(PeerCertificateError::Missing)?;
    if chain.len() > MAX_CHAIN {
        return Err(PeerCertificateError::ChainTooLong);
    }
    EndEntityCert::try_from(leaf)
        .map_err(|_| PeerCertificateError::Malformed)?
        .verify_for_usage(
            crypto_provider().signature_verification_algorithms.all,
            &roots.roots,
            intermediates,
            now,
            EitherRole,
            None,
            None,
        )
        .map_err(PeerCertificateError::Untrusted)?;
    let (rest, parsed) =
        X509Certificate::from_der(leaf).map_err(|_| PeerCertificateError::Malformed)?;
    let names = SubjectNames::of(&parsed).map_err(|_| PeerCertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(PeerCertificateError::Malformed);
    }
    if names.xmpp.is_empty() {
        return Err(PeerCertificateError::NoName);
    }
    Ok(names.xmpp)
}

/// Extended key usage: absent, serverAuth, clientAuth or anyExtendedKeyUsage.
struct EitherRole;

impl ExtendedKeyUsageValidator for EitherRole {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // DER contents of 1.3.6.1.5.5.7.3.1, 1.3.6.1.5.5.7.3.2 and 2.5.29.37.0.
        const SERVER_AUTH: KeyPurposeId<'_> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 1]);
        const CLIENT_AUTH: KeyPurposeId<'_> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 2]);
        const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[85, 29, 37, 0]);
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if [SERVER_AUTH, CLIENT_AUTH, ANY].contains(&purpose) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let context = RequiredEkuNotFoundContext { required: KeyUsage::server_auth(), present };
        Err(webpki::Error::RequiredEkuNotFoundContext(context))
    }
}

/// Takes any certificate in the handshake, provided that the peer holds its key. Whether it
/// means anything is decided by [`validate_client_certificate`] when SASL EXTERNAL is tried: a
/// failed handshake would leave a server with a private CA no way to dialback.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(crate) fn verifier() -> Arc<dyn ClientCertVerifier> {
        Arc::new(Self { algorithms: crypto_provider().signature_verification_algorithms })
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
