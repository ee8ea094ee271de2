//! What carries a client's bytes: TCP, TLS, or frames that the HTTP layer takes apart.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wello_stream::framing::{Framing, Output};

use crate::tls::TlsStream;

/// One client's connection.
pub enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Frames(Frames),
    /// While a handshake has the socket.
    Gone,
}

/// The near end of a connection whose frames are carried by HTTP: WebSocket or BOSH.
pub struct Frames {
    pub incoming: mpsc::Receiver<Bytes>,
    pub outgoing: mpsc::Sender<Bytes>,
}

/// Bytes that one read may bring.
const READ_SIZE: usize = 16 * 1024;

thread_local! {
    /// Idle connections hold no buffer: whoever is ready to read borrows that of its thread.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

impl Transport {
    pub fn framing(&self) -> Framing {
        match self {
            Transport::Tcp(_) | Transport::Tls(_) | Transport::Gone => Framing::Stream,
            Transport::Frames(_) => Framing::Framed,
        }
    }

    /// Waits for bytes and appends them to `pending`; `false` when the peer has closed. May be
    /// dropped and called again.
    pub async fn read(&mut self, pending: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Transport::Tcp(stream) => poll_fn(|cx| poll_read(stream, cx, pending)).await,
            Transport::Tls(stream) => poll_fn(|cx| poll_read(&mut **stream, cx, pending)).await,
            Transport::Frames(frames) => match frames.incoming.recv().await {
                Some(frame) => {
                    pending.extend_from_slice(&frame);
                    Ok(true)
                }
                None => Ok(false),
            },
            Transport::Gone => Ok(false),
        }
    }

    /// Writes everything that waits; `buffer` gets its room in exchange.
    pub async fn write(&mut self, output: &mut Output, buffer: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Transport::Tcp(stream) => {
                output.swap(buffer);
                stream.write_all(buffer).await
            }
            Transport::Tls(stream) => {
                output.swap(buffer);
                stream.write_all(buffer).await?;
                stream.flush().await
            }
            Transport::Frames(frames) => {
                for frame in output.take_frames() {
                    let sent = frames.outgoing.send(frame.into()).await;
                    sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                }
                Ok(())
            }
            Transport::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes everything that waits and tells the peer that nothing more comes.
    pub async fn close(&mut self, output: &mut Output, buffer: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Transport::Tcp(stream) => {
                output.swap(buffer);
                stream.write_all(buffer).await?;
                stream.shutdown().await
            }
            Transport::Tls(stream) => {
                output.swap(buffer);
                // Not flushed, so that it leaves together with the alert that ends TLS.
                let taken = stream.get_mut().1.writer().write(buffer)?;
                stream.write_all(&buffer[taken..]).await?;
                stream.shutdown().await
            }
            Transport::Frames(_) | Transport::Gone => self.write(output, buffer).await,
        }
    }
}

pub(crate) fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    pending: &mut Vec<u8>,
) -> Poll<io::Result<bool>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        pending.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    })
}
