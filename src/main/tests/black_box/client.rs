//! A client that shares no code with the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{PASSWORD, Server};

/// No answer takes this long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The peer is gone, or it has closed its stream.
#[derive(Debug)]
pub struct Gone;

/// A stream over whatever carries it.
pub struct Client<Io = TlsStream<TcpStream>> {
    pub io: Io,
    cutter: Cutter,
    domain: String,
}

impl Client {
    /// Direct TLS, PLAIN, and a bound resource.
    pub async fn login(server: &Server, user: &str, resource: &str) -> Result<Client, Gone> {
        Client::login_at(server.address("c2s_tls"), server.domain(), user, resource).await
    }

    /// The same at any server.
    pub async fn login_at(
        address: SocketAddr,
        domain: &str,
        user: &str,
        resource: &str,
    ) -> Result<Client, Gone> {
        let mut client = Client::new(secure(address, domain).await?);
        domain.clone_into(&mut client.domain);
        client.open().await?;
        let secret = base64::prelude::BASE64_STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        );
        client.send(&auth).await?;
        let answer = client.next().await?;
        assert!(answer.starts_with("<success"), "{answer}");
        client.restart();
        client.open().await?;
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        client.send(&bind).await?;
        let answer = client.next().await?;
        assert!(answer.contains("<jid>"), "{answer}");
        Ok(client)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Client<Io> {
    pub fn new(io: Io) -> Client<Io> {
        Client { io, cutter: Cutter::default(), domain: "localhost".to_owned() }
    }

    /// What comes next is a new stream.
    pub fn restart(&mut self) {
        self.cutter.depth = 0;
    }

    /// Opens the stream; returns the features.
    pub async fn open(&mut self) -> Result<String, Gone> {
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{}'>",
            self.domain
        );
        self.send(&header).await?;
        self.next().await?;
        self.next().await
    }

    pub async fn send(&mut self, text: &str) -> Result<(), Gone> {
        self.io.write_all(text.as_bytes()).await.map_err(|_| Gone)?;
        self.io.flush().await.map_err(|_| Gone)
    }

    /// The next stream header, child of the stream, or end of the stream.
    pub async fn next(&mut self) -> Result<String, Gone> {
        loop {
            if let Some(item) = self.cutter.next() {
                return Ok(item);
            }
            let read = self.io.read_buf(&mut self.cutter.buffer);
            let read = tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
            if read.map_err(|_| Gone)? == 0 {
                return Err(Gone);
            }
        }
    }

    /// The next child that begins with `start`; others are dropped.
    pub async fn find(&mut self, start: &str) -> Result<String, Gone> {
        loop {
            let item = self.next().await?;
            if item.starts_with(start) {
                return Ok(item);
            }
        }
    }
}

async fn secure(address: SocketAddr, domain: &str) -> Result<TlsStream<TcpStream>, Gone> {
    let stream = TcpStream::connect(address).await.map_err(|_| Gone)?;
    stream.set_nodelay(true).map_err(|_| Gone)?;
    let name = ServerName::try_from(domain.to_owned()).unwrap();
    connector().connect(name, stream).await.map_err(|_| Gone)
}

/// TLS to a server whose certificate it signed itself.
pub fn connector() -> TlsConnector {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Cuts a stream into its header, its children and its end. Looks at tags alone, which is enough
/// for what the server writes: it escapes `>` and sends no comments (RFC 6120, section 11.1).
#[derive(Default)]
struct Cutter {
    buffer: Vec<u8>,
    /// What is before has been looked at.
    looked: usize,
    depth: usize,
}

impl Cutter {
    fn next(&mut self) -> Option<String> {
        let position = |of: &[u8], wanted: u8| of.iter().position(|byte| *byte == wanted);
        loop {
            let open = self.looked + position(&self.buffer[self.looked..], b'<')?;
            let end = open + position(&self.buffer[open..], b'>')? + 1;
            let tag = &self.buffer[open..end];
            self.looked = end;
            let complete = match (tag[1], tag[tag.len() - 2]) {
                (b'?', _) => false,
                (b'/', _) => {
                    self.depth -= 1;
                    self.depth <= 1
                }
                (_, b'/') => self.depth == 1,
                _ => {
                    self.depth += 1;
                    self.depth == 1
                }
            };
            if complete {
                self.looked = 0;
                let item: Vec<u8> = self.buffer.drain(..end).collect();
                return Some(String::from_utf8(item).unwrap());
            }
        }
    }
}

/// The value of the first attribute `name` in `xml`.
pub fn attribute<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let (_, rest) = xml.split_once(&format!(" {name}={quote}"))?;
        Some(rest.split_once(quote)?.0)
    })
}

/// The text of the first element `name` in `xml`.
pub fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}
