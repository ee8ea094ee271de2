//! The server side of a handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::server::{Acceptor, ServerConnection};
use rustls::{HandshakeKind, ProtocolVersion, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use super::error::HandshakeError;
use super::host::HostCertificate;
use super::kind::{Alpn, ListenerKind};
use super::store::CertificateStore;

pub use tokio_rustls::server::TlsStream;

/// Ciphertext that may wait for a slow peer, in bytes: two full records. More belongs in the
/// session's own queue, where it is accounted for.
const WRITE_BUFFER: usize = 32 * 1024;

/// Turns accepted sockets into TLS streams.
#[derive(Clone)]
pub struct TlsAcceptor {
    store: Arc<CertificateStore>,
    handshake_timeout: Duration,
}

/// What the handshake established. Worth dropping once authentication is over.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// The certificate that was served.
    pub host: Arc<HostCertificate>,
    pub version: ProtocolVersion,
    pub cipher: SupportedCipherSuite,
    pub alpn: Option<Alpn>,
    pub resumed: bool,
    pub channel_bindings: ChannelBindings,
    /// Not validated yet; leaf first, empty if the peer showed none.
    pub client_certificates: Vec<CertificateDer<'static>>,
}

/// Channel binding data for SASL (XEP-0440).
#[derive(Clone)]
pub struct ChannelBindings {
    /// RFC 9266; on TLS 1.3 only. On 1.2 it would need the extended master secret, and libraries
    /// disagree about an absent context.
    pub tls_exporter: Option<[u8; 32]>,
    /// RFC 5929 §4.
    pub tls_server_end_point: Option<Box<[u8]>>,
}

impl std::fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exporter = self.tls_exporter.as_ref().map(|_| "..");
        f.debug_struct("ChannelBindings")
            .field("tls_exporter", &exporter)
            .field("tls_server_end_point", &self.tls_server_end_point)
            .finish()
    }
}

impl TlsAcceptor {
    /// `handshake_timeout` is for the handshake as a whole.
    pub fn new(store: Arc<CertificateStore>, handshake_timeout: Duration) -> Self {
        Self { store, handshake_timeout }
    }

    /// Performs a handshake. None: it was an ACME server's tls-alpn-01 validation, which is
    /// over now. After an error the peer has been sent an alert where TLS has one.
    pub async fn accept<IO>(
        &self,
        io: IO,
        kind: ListenerKind,
    ) -> Result<Option<(TlsStream<IO>, TlsInfo)>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = Instant::now() + self.handshake_timeout;
        timeout_at(deadline, self.handshake(io, kind)).await.map_err(|_| HandshakeError::Timeout)?
    }

    async fn handshake<IO>(
        &self,
        io: IO,
        kind: ListenerKind,
    ) -> Result<Option<(TlsStream<IO>, TlsInfo)>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let hello = start.client_hello();
        if kind.is_direct()
            && let Some(answer) = self.store.challenges().answer(&hello)
        {
            let mut stream = start.into_stream(answer).await?;
            // The validator has seen the certificate and may be gone already.
            let _ = stream.shutdown().await;
            return Ok(None);
        }
        let host = self.store.lookup(hello.server_name());
        let config = host.config(kind);
        let stream = start
            .into_stream_with(config, |connection| {
                connection.set_buffer_limit(Some(WRITE_BUFFER));
            })
            .await?;
        let info = TlsInfo::read(stream.get_ref().1, host)?;
        Ok(Some((stream, info)))
    }
}

impl TlsInfo {
    fn read(
        connection: &ServerConnection,
        host: Arc<HostCertificate>,
    ) -> Result<Self, HandshakeError> {
        let (Some(version), Some(cipher)) =
            (connection.protocol_version(), connection.negotiated_cipher_suite())
        else {
            return Err(HandshakeError::Tls(rustls::Error::HandshakeNotComplete));
        };
        let tls_exporter = (version == ProtocolVersion::TLSv1_3)
            .then(|| connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None))
            .transpose()
            .map_err(HandshakeError::Tls)?;
        let tls_server_end_point = host.server_end_point().map(Box::from);
        let certificates = connection.peer_certificates().unwrap_or_default();
        Ok(Self {
            host,
            version,
            cipher,
            alpn: connection.alpn_protocol().and_then(Alpn::from_bytes),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            channel_bindings: ChannelBindings { tls_exporter, tls_server_end_point },
            client_certificates: certificates.iter().map(|c| c.clone().into_owned()).collect(),
        })
    }
}
