//! `wello health`: asks the running server whether it lives, for supervisors of containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use wello_kernel::config::Config;

/// Supervisors give up after 30 s or less.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of the answer, only its first line is of interest.
const MAX_ANSWER: u64 = 4096;

pub async fn run(config: &Config) -> anyhow::Result<()> {
    let (address, tls) = match (config.listen.http.first(), config.listen.https.first()) {
        (Some(http), _) => (loopback(*http), false),
        (None, Some(https)) => (loopback(*https), true),
        (None, None) => bail!("neither listen.http nor listen.https is set"),
    };
    let domain = config.domains().first().copied().unwrap_or("localhost").to_owned();
    let asking = async {
        let stream = TcpStream::connect(address).await?;
        match tls {
            false => ask(stream, &domain).await,
            true => ask(encrypt(stream, &domain).await?, &domain).await,
        }
    };
    let answer = tokio::time::timeout(TIMEOUT, asking).await;
    let status = answer
        .with_context(|| format!("{address} does not answer"))?
        .with_context(|| format!("{address} is not reached: is the server running?"))?;
    if status != 200 {
        bail!("{address} answers with status {status}");
    }
    println!("ok");
    Ok(())
}

/// The server itself, also when it listens on every address.
fn loopback(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        given => given,
    };
    SocketAddr::new(address, listen.port())
}

/// Returns the status of the answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> anyhow::Result<u16> {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let mut stream = stream.take(MAX_ANSWER);
    while !answer.contains(&b'\n') && stream.read_buf(&mut answer).await? > 0 {}
    status(&String::from_utf8_lossy(&answer)).context("the answer is not HTTP")
}

fn status(answer: &str) -> Option<u16> {
    let (version, rest) = answer.lines().next()?.split_once(' ')?;
    let code = rest.split(' ').next()?;
    if version.starts_with("HTTP/1.") { code.parse().ok() } else { None }
}

async fn encrypt(
    stream: TcpStream,
    domain: &str,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(domain.to_owned())?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// The certificate may be self-signed, or expired without the server being ill. Nothing secret
/// is sent to this peer, which is an address of this machine.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_http_only() {
        assert_eq!(status("HTTP/1.1 200 OK\r\n\r\nok\n"), Some(200));
        assert_eq!(status("HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status("SSH-2.0 200 x"), None);
        assert_eq!(status(""), None);
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_loopback() {
        let asked = |listen: &str| loopback(listen.parse().unwrap()).to_string();
        assert_eq!(asked("[::]:5280"), "[::1]:5280");
        assert_eq!(asked("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(asked("192.0.2.1:80"), "192.0.2.1:80");
    }
}
