//! RFC 7395: XMPP over WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Endpoint, Event, tcp::dial, tls};
use crate::xml::{NS_STREAM, parse_document};

const NS_FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

pub(crate) struct WebSocket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    ended: Option<String>,
}

impl WebSocket {
    pub(super) async fn connect(endpoint: &Endpoint, domain: &str) -> anyhow::Result<Self> {
        let tcp = dial(&endpoint.host, endpoint.https).await?;
        let tls = tls::connect(tcp, domain, &["http/1.1"]).await?;
        let url = format!("wss://{domain}:{}/xmpp-websocket", endpoint.https);
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse()?);
        let (stream, response) = client_async(request, tls).await?;
        let chosen = response.headers().get("Sec-WebSocket-Protocol");
        anyhow::ensure!(
            chosen.is_some_and(|v| v == "xmpp"),
            "the server did not choose the subprotocol xmpp"
        );
        Ok(Self { stream, ended: None })
    }

    /// Text that is not UTF-8 goes out as a text frame all the same.
    pub(super) async fn send_text(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let text = std::str::from_utf8(bytes)?;
        Ok(self.stream.send(Message::text(text)).await?)
    }

    pub(super) async fn send_binary(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.send(Message::binary(bytes.to_vec())).await?)
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(how) = &self.ended {
                return Event::Closed(how.clone());
            }
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return self.frame(text.as_str()),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or_else(String::new, |f| format!(" with code {}", f.code));
                    self.ended = Some(format!("WebSocket closed by the server{code}"));
                }
                Some(Ok(Message::Binary(_))) => self.ended = Some("a binary frame".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(e)) => self.ended = Some(e.to_string()),
                None => self.ended = Some("closed by the server".to_owned()),
            }
        }
    }

    fn frame(&mut self, text: &str) -> Event {
        match parse_document(text) {
            Ok(e) if e.is(NS_FRAMING, "open") => Event::Header(e),
            Ok(e) if e.is(NS_FRAMING, "close") => Event::Footer,
            Ok(e) if e.is(NS_STREAM, "stream") => {
                let how = "the server sent a <stream:stream>, RFC 7395 §3.3".to_owned();
                self.ended = Some(how.clone());
                Event::Closed(how)
            }
            Ok(e) => Event::Element(e),
            Err(e) => {
                let how = format!("the server sent a frame that is not one element: {e}");
                self.ended = Some(how.clone());
                Event::Closed(how)
            }
        }
    }

    pub(super) fn abort(self) {
        let tcp = self.stream.get_ref().get_ref().0;
        // A failure leaves an orderly close, which the step after it will show.
        let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }

    pub(super) fn facts(&self) -> Option<tls::Facts> {
        Some(tls::facts(self.stream.get_ref()))
    }
}
