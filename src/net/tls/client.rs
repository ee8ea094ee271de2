//! TLS to other servers.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::kind::Alpn;
use super::provider::crypto_provider;

/// Shows the certificate of one of our hosts. `direct`: TLS comes first (XEP-0368).
pub(crate) fn client_config(
    key: &Arc<CertifiedKey>,
    tls12: bool,
    direct: bool,
) -> Result<ClientConfig, Error> {
    let mut config = without_certificate(tls12, direct)?;
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(key)));
    Ok(config)
}

/// Shows none, for a look around.
pub(crate) fn anonymous_client(direct: bool) -> Result<Arc<ClientConfig>, Error> {
    without_certificate(true, direct).map(Arc::new)
}

fn without_certificate(tls12: bool, direct: bool) -> Result<ClientConfig, Error> {
    let versions = if tls12 { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS13] };
    let verifier = AnyServer { algorithms: crypto_provider().signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    if direct {
        config.alpn_protocols = vec![Alpn::XmppServer.as_str().as_bytes().to_vec()];
    }
    // Streams between servers last; each one looks at the other's certificate anew.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes any certificate in the handshake, provided that the server holds its key. Whether it is good
/// for the domain is decided afterwards: if it is not, dialback may still do.
#[derive(Debug)]
struct AnyServer {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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
