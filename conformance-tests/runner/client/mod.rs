//! A raw XMPP client: it sends what it is told, well-formed or not, and reports what comes.

mod bosh;
pub(crate) mod http;
pub(crate) mod sasl;
mod tcp;
pub(crate) mod tls;
mod websocket;

use crate::script::Transport;
use crate::xml::{Element, escape};

use bosh::Bosh;
use tcp::Tcp;
use websocket::WebSocket;

/// Where a server listens. A port of 0 means that the server does not offer the service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) c2s: u16,
    pub(crate) c2s_tls: u16,
    pub(crate) https: u16,
    pub(crate) http: u16,
    pub(crate) components: u16,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Start tag of a stream (`<open/>` of a WebSocket, attributes of a BOSH `<body/>`)
    Header(Element),
    Element(Element),
    /// End tag of a stream (`<close/>`, `type='terminate'`)
    Footer,
    /// The transport ended; the text says how.
    Closed(String),
}

pub(crate) enum Connection {
    Tcp(Box<Tcp>),
    WebSocket(Box<WebSocket>),
    Bosh(Box<Bosh>),
}

impl Connection {
    pub(crate) async fn open(
        endpoint: &Endpoint,
        transport: Transport,
        domain: &str,
    ) -> anyhow::Result<Self> {
        Ok(match transport {
            Transport::StartTls => {
                Self::Tcp(Box::new(Tcp::plain(&endpoint.host, endpoint.c2s).await?))
            }
            Transport::DirectTls => {
                Self::Tcp(Box::new(Tcp::tls(&endpoint.host, endpoint.c2s_tls, domain).await?))
            }
            Transport::Component => {
                Self::Tcp(Box::new(Tcp::component(&endpoint.host, endpoint.components).await?))
            }
            Transport::WebSocket => {
                Self::WebSocket(Box::new(WebSocket::connect(endpoint, domain).await?))
            }
            Transport::Bosh => Self::Bosh(Box::new(Bosh::new(endpoint, domain))),
        })
    }

    /// Sends bytes as they are: to the socket, as one text frame, or as content of one `<body/>`.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Tcp(c) => c.send(bytes).await,
            Self::WebSocket(c) => c.send_text(bytes).await,
            Self::Bosh(c) => c.send(bytes),
        }
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(c) => c.send_binary(bytes).await,
            _ => anyhow::bail!("only a WebSocket has binary frames"),
        }
    }

    /// Sends whole elements in the transport's own framing.
    pub(crate) async fn send_elements(&mut self, text: &str) -> anyhow::Result<()> {
        if let Self::Tcp(c) = self {
            return c.send(text.as_bytes()).await;
        }
        let parsed = crate::xml::parse_fragment(text).map_err(anyhow::Error::msg)?;
        match self {
            Self::WebSocket(c) => {
                for element in parsed {
                    c.send_text(element.to_xml().as_bytes()).await?;
                }
            }
            Self::Bosh(c) => {
                let all: String = parsed.iter().map(Element::to_xml).collect();
                c.send(all.as_bytes())?;
            }
            Self::Tcp(_) => {}
        }
        Ok(())
    }

    /// The next event. Safe to cancel: nothing that was read is lost.
    pub(crate) async fn next(&mut self) -> Event {
        match self {
            Self::Tcp(c) => c.next().await,
            Self::WebSocket(c) => c.next().await,
            Self::Bosh(c) => c.next().await,
        }
    }

    /// `from` is the bare JID by which the client names itself, if it does.
    pub(crate) async fn open_stream(
        &mut self,
        domain: &str,
        from: Option<&str>,
    ) -> anyhow::Result<()> {
        let from = from.map(|f| format!("from='{}' ", escape(f))).unwrap_or_default();
        match self {
            Self::Tcp(c) => {
                c.restart();
                let header = format!(
                    "<?xml version='1.0'?><stream:stream to='{domain}' {from}version='1.0' \
                     xml:lang='en' xmlns='{}' xmlns:stream='http://etherx.jabber.org/streams'>",
                    c.content_ns(),
                );
                c.send(header.as_bytes()).await
            }
            Self::WebSocket(c) => {
                let open = format!(
                    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' \
                     {from}version='1.0'/>"
                );
                c.send_text(open.as_bytes()).await
            }
            Self::Bosh(c) => c.open_stream(&from),
        }
    }

    pub(crate) async fn close_stream(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Tcp(c) => c.send(b"</stream:stream>").await,
            Self::WebSocket(c) => {
                c.send_text(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>").await
            }
            Self::Bosh(c) => c.terminate(),
        }
    }

    pub(crate) async fn start_tls(&mut self, domain: &str) -> anyhow::Result<()> {
        match self {
            Self::Tcp(c) => c.start_tls(domain).await,
            _ => anyhow::bail!("STARTTLS is for TCP"),
        }
    }

    /// Ends the TCP connection by RST, as a vanished client does.
    pub(crate) fn abort(self) {
        match self {
            Self::Tcp(c) => c.abort(),
            Self::WebSocket(c) => c.abort(),
            Self::Bosh(_) => {}
        }
    }

    pub(crate) fn session(&self) -> Option<tls::Facts> {
        match self {
            Self::Tcp(c) => c.facts(),
            Self::WebSocket(c) => c.facts(),
            Self::Bosh(_) => None,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Tcp(c) => c.facts().is_some(),
            _ => true,
        }
    }
}
