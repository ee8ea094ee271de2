//! What carries the bytes of a stream between servers or with a component.

use std::future::poll_fn;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use wello_stream::framing::Output;

use crate::c2s::poll_read;

/// TLS of either side.
pub trait Secure: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Secure for T {}

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
