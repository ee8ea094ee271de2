//! XML streams over TCP, plain or TLS.

use std::time::Duration;

use anyhow::Context;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Event, tls};
use crate::xml::{NS_CLIENT, NS_COMPONENT, StreamItem, StreamParser};

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between plain and TLS, or after a failed handshake
    Gone,
}

pub(crate) struct Tcp {
    io: Io,
    /// Of the stanzas on the stream; told as `jabber:client` whatever it is.
    content_ns: &'static str,
    parser: StreamParser,
    unread: Vec<u8>,
    ended: Option<String>,
}

impl Tcp {
    pub(super) async fn plain(host: &str, port: u16) -> anyhow::Result<Self> {
        Ok(Self::new(Io::Plain(dial(host, port).await?), NS_CLIENT))
    }

    /// XEP-0114 §3: neither TLS nor the namespace of clients.
    pub(super) async fn component(host: &str, port: u16) -> anyhow::Result<Self> {
        Ok(Self::new(Io::Plain(dial(host, port).await?), NS_COMPONENT))
    }

    pub(super) async fn tls(host: &str, port: u16, domain: &str) -> anyhow::Result<Self> {
        let tcp = dial(host, port).await?;
        // XEP-0368 §2: the ALPN protocol of client connections
        let stream = tls::connect(tcp, domain, &["xmpp-client"]).await?;
        Ok(Self::new(Io::Tls(Box::new(stream)), NS_CLIENT))
    }

    fn new(io: Io, content_ns: &'static str) -> Self {
        Self { io, content_ns, parser: StreamParser::new(), unread: Vec::new(), ended: None }
    }

    pub(super) fn content_ns(&self) -> &'static str {
        self.content_ns
    }

    pub(super) fn restart(&mut self) {
        self.parser = StreamParser::new();
    }

    pub(super) async fn start_tls(&mut self, domain: &str) -> anyhow::Result<()> {
        let Io::Plain(tcp) = std::mem::replace(&mut self.io, Io::Gone) else {
            anyhow::bail!("no plain connection to secure");
        };
        self.io = Io::Tls(Box::new(tls::connect(tcp, domain, &[]).await?));
        self.restart();
        Ok(())
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.io {
            Io::Plain(s) => s.write_all(bytes).await?,
            Io::Tls(s) => {
                s.write_all(bytes).await?;
                s.flush().await?;
            }
            Io::Gone => anyhow::bail!("the connection is gone"),
        }
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.parse() {
                return event;
            }
            if let Some(how) = &self.ended {
                return Event::Closed(how.clone());
            }
            let read = match &mut self.io {
                Io::Plain(s) => s.read_buf(&mut self.unread).await,
                Io::Tls(s) => s.read_buf(&mut self.unread).await,
                Io::Gone => Ok(0),
            };
            match read {
                Ok(0) => self.ended = Some("closed by the server".to_owned()),
                Ok(_) => {}
                Err(e) => self.ended = Some(e.to_string()),
            }
        }
    }

    fn parse(&mut self) -> Option<Event> {
        let mut bytes = self.unread.as_slice();
        let parsed = self.parser.next(&mut bytes, false);
        let used = self.unread.len() - bytes.len();
        self.unread.drain(..used);
        match parsed {
            Ok(None) => None,
            Ok(Some(StreamItem::Header(e))) => Some(Event::Header(e)),
            Ok(Some(StreamItem::Child(mut e))) => {
                e.rename_ns(self.content_ns, NS_CLIENT);
                Some(Event::Element(e))
            }
            Ok(Some(StreamItem::Footer)) => Some(Event::Footer),
            Err(e) => {
                self.unread.clear();
                self.ended = Some(format!("the server sent XML that is not allowed: {e}"));
                None
            }
        }
    }

    pub(super) fn abort(self) {
        let tcp = match &self.io {
            Io::Plain(s) => s,
            Io::Tls(s) => s.get_ref().0,
            Io::Gone => return,
        };
        // A failure leaves an orderly close, which the step after it will show.
        let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }

    pub(super) fn facts(&self) -> Option<tls::Facts> {
        match &self.io {
            Io::Tls(s) => Some(tls::facts(s)),
            _ => None,
        }
    }
}

pub(super) async fn dial(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    anyhow::ensure!(port != 0, "the target does not offer this transport");
    let tcp = TcpStream::connect((host, port)).await.with_context(|| format!("{host}:{port}"))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
