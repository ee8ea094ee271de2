//! Other servers, which prove who they are and then say nothing.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{client::tls_config, stream::Stream};

/// All of them are below it, so that one certificate is good for all.
pub(crate) const DOMAIN: &str = "visitors.example";

/// Streams opened at the same time.
const CONCURRENCY: usize = 16;

/// Whom they visit, and by which certificate.
#[derive(Clone)]
pub(crate) struct Visitors {
    host: SocketAddr,
    domain: String,
    connector: TlsConnector,
}

impl Visitors {
    /// `pem`: chain and key for everything below [`DOMAIN`].
    pub(crate) fn new(host: SocketAddr, domain: &str, pem: &Path) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(pem)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(pem)?;
        let connector = TlsConnector::from(Arc::new(tls_config(Some((chain, key)))?));
        Ok(Self { host, domain: domain.to_owned(), connector })
    }

    /// Opens a stream of each of so many domains.
    pub(crate) async fn visit(&self, count: usize) -> Result<Vec<Stream<TlsStream<TcpStream>>>> {
        let mut openers = JoinSet::new();
        for opener in 0..CONCURRENCY {
            let visitors = self.clone();
            openers.spawn_local(async move {
                let mut streams = Vec::new();
                for number in (opener..count).step_by(CONCURRENCY) {
                    let from = format!("d{number:04}.{DOMAIN}");
                    let stream = visitors.open(&from).await;
                    streams.push(stream.with_context(|| format!("stream of {from}"))?);
                }
                anyhow::Ok(streams)
            });
        }
        let mut streams = Vec::with_capacity(count);
        while let Some(some) = openers.join_next().await {
            streams.extend(some??);
        }
        Ok(streams)
    }

    async fn open(&self, from: &str) -> Result<Stream<TlsStream<TcpStream>>> {
        let tcp = TcpStream::connect(self.host).await?;
        tcp.set_nodelay(true)?;
        let mut plain = Stream::new(tcp);
        plain.open_as(from, &self.domain).await?;
        plain.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        expect(&plain.receive().await?, b"<proceed")?;
        let name = ServerName::try_from(self.domain.clone())?;
        let mut stream = Stream::new(self.connector.connect(name, plain.io).await?);
        stream.open_as(from, &self.domain).await?;
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
        stream.send(auth.as_bytes()).await?;
        expect(&stream.receive().await?, b"<success")?;
        stream.open_as(from, &self.domain).await?;
        Ok(stream)
    }
}

fn expect(answer: &[u8], start: &[u8]) -> Result<()> {
    ensure!(answer.starts_with(start), "unexpected answer: {}", String::from_utf8_lossy(answer));
    Ok(())
}
