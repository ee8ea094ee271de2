//! TLS for the client side. Test servers have self-signed certificates, so none is checked.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::text::to_hex;

/// What a TLS session contributes to scripts and to SASL.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// RFC 9266, 32 bytes. `None` before TLS 1.3.
    pub(crate) exporter: Option<Vec<u8>>,
    /// RFC 5929 §4 for certificates signed with SHA-256
    pub(crate) end_point: Vec<u8>,
    pub(crate) alpn: String,
    pub(crate) version: String,
    pub(crate) certificate: String,
}

pub(crate) async fn connect(
    tcp: TcpStream,
    domain: &str,
    alpn: &[&str],
) -> anyhow::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(domain.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

pub(crate) fn facts(stream: &TlsStream<TcpStream>) -> Facts {
    let session = stream.get_ref().1;
    let tls13 = session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let exporter = tls13
        .then(|| session.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", None).ok())
        .flatten();
    let certificate = session.peer_certificates().and_then(|c| c.first());
    let digest = certificate.map(|c| Sha256::digest(c).to_vec()).unwrap_or_default();
    Facts {
        exporter: exporter.map(|e| e.to_vec()),
        certificate: to_hex(&digest),
        end_point: digest,
        alpn: session.alpn_protocol().map(String::from_utf8_lossy).unwrap_or_default().into(),
        version: format!("{:?}", session.protocol_version()),
    }
}

#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
