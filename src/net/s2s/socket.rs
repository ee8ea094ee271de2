//! What carries the bytes of a stream between servers or with a component.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};
use wello_stream::framing::Output;
use wello_stream::s2s::Progress;

use super::progress;
use crate::c2s::poll_read;

/// TLS of either side.
pub trait Secure: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    fn tcp(&self) -> &TcpStream;
}

impl Secure for client::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Secure for server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

pub enum Socket {
    Tcp(TcpStream),
    Tls(Box<dyn Secure>),
    /// While a handshake has it.
    Gone,
}

impl Socket {
    /// Waits for bytes and appends them to `pending`; `false` when the peer has closed. May be
    /// dropped and called again.
    pub async fn read(&mut self, pending: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Socket::Tcp(stream) => poll_fn(|cx| poll_read(stream, cx, pending)).await,
            Socket::Tls(stream) => poll_fn(|cx| poll_read(stream, cx, pending)).await,
            Socket::Gone => Ok(false),
        }
    }

    /// Writes everything that waits; `buffer` gets its room in exchange.
    pub async fn write(&mut self, output: &mut Output, buffer: &mut Vec<u8>) -> io::Result<()> {
        output.swap(buffer);
        match self {
            Socket::Tcp(stream) => stream.write_all(buffer).await,
            Socket::Tls(stream) => {
                stream.write_all(buffer).await?;
                stream.flush().await
            }
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes everything that waits and tells the peer that nothing more comes.
    pub async fn close(&mut self, output: &mut Output, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.write(output, buffer).await?;
        match self {
            Socket::Tcp(stream) => stream.shutdown().await,
            Socket::Tls(stream) => stream.shutdown().await,
            Socket::Gone => Ok(()),
        }
    }

    /// How far the bytes have come, if the system tells. TLS counts as the bytes that it makes.
    pub fn progress(&self) -> Option<Progress> {
        progress::of(self.tcp()?)
    }

    /// Ends the connection. What has not been sent yet is never sent.
    pub fn abort(&mut self) {
        if let Some(stream) = self.tcp() {
            // Of a connection that is gone already it is no more than true.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        *self = Socket::Gone;
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Socket::Tcp(stream) => Some(stream),
            Socket::Tls(stream) => Some(stream.tcp()),
            Socket::Gone => None,
        }
    }

    /// The bare connection, for a handshake.
    pub fn take_tcp(&mut self) -> Option<TcpStream> {
        match std::mem::replace(self, Socket::Gone) {
            Socket::Tcp(stream) => Some(stream),
            other => {
                *self = other;
                None
            }
        }
    }
}
