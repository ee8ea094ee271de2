//! One XMPP stream over any byte transport: send raw bytes, receive elements.

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::scanner::{Item, Scanner, has};

/// One TLS record; a larger buffer would not be filled by one read.
const READ_BYTES: usize = 16 * 1024;

pub(crate) struct Stream<T> {
    pub(crate) io: T,
    scanner: Scanner,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, scanner: Scanner::default() }
    }

    /// Opens a (new) stream and waits for the server's features.
    pub(crate) async fn open(&mut self, domain: &str) -> Result<Vec<u8>> {
        self.begin(&format!("xmlns='jabber:client' to='{domain}'")).await
    }

    /// The same as another server.
    pub(crate) async fn open_as(&mut self, from: &str, domain: &str) -> Result<Vec<u8>> {
        self.begin(&format!(
            "xmlns='jabber:server' xmlns:db='jabber:server:dialback' from='{from}' to='{domain}'"
        ))
        .await
    }

    async fn begin(&mut self, attributes: &str) -> Result<Vec<u8>> {
        self.scanner.restart();
        let header = format!(
            "<?xml version='1.0'?><stream:stream {attributes} version='1.0' xml:lang='en' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.send(header.as_bytes()).await?;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.io.write_all(bytes).await?;
        Ok(self.io.flush().await?)
    }

    /// Next element; a stream error or the end of the stream is an error.
    pub(crate) async fn receive(&mut self) -> Result<Vec<u8>> {
        loop {
            let mut got = None;
            self.drain(|element| {
                got = Some(element.to_vec());
                Ok(false)
            })?;
            if let Some(element) = got {
                return Ok(element);
            }
            self.read().await?;
        }
    }

    /// Hands the elements already received to `take` until it returns false.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        while let Some(item) = self.scanner.next()? {
            match item {
                Item::Header(_) => {}
                Item::End => bail!("server closed the stream"),
                Item::Element(e)
                    if e.starts_with(b"<stream:error") || has_default_stream_error(e) =>
                {
                    bail!("stream error: {}", String::from_utf8_lossy(e))
                }
                Item::Element(e) => {
                    if !take(e)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for more bytes.
    pub(crate) async fn read(&mut self) -> Result<()> {
        if self.io.read_buf(self.scanner.space(READ_BYTES)).await? == 0 {
            bail!("server closed the connection");
        }
        Ok(())
    }
}

fn has_default_stream_error(element: &[u8]) -> bool {
    element.starts_with(b"<error") && has(element, "urn:ietf:params:xml:ns:xmpp-streams")
}
