//! Clients that come by TCP or TLS: one task reads what they send and what peers send to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use wello_stream::stun::HEADER;
use wello_stream::turn::{Allocation, CHANNEL_HEADER, Outcome, Via, handle};

use super::gate::{Door, Gate};
use super::relay::{Relay, judge};
use crate::admission::ConnectionPermit;

/// How long a connection without an allocation is kept.
const IDLE: Duration = Duration::from_secs(60);
/// A client that takes nothing any more.
const WRITE: Duration = Duration::from_secs(30);
/// The longest message of a client without an allocation; with one, what the format allows.
const SHORT: usize = 2048;
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// What is gathered for the client before it is written.
const OUT: usize = 64 * 1024;

/// Serves one connection to its end. `apart`: each message is written by itself.
pub(super) async fn serve<S>(
    gate: Arc<Gate>,
    stream: S,
    client: SocketAddr,
    permit: ConnectionPermit,
    apart: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        gate,
        stream,
        client,
        permit,
        held: None,
        input: BytesMut::new(),
        out: Vec::new(),
        deadline: Instant::now() + IDLE,
        apart,
    };
    while connection.step().await.is_some() {}
}

struct Connection<S> {
    gate: Arc<Gate>,
    stream: S,
    client: SocketAddr,
    permit: ConnectionPermit,
    held: Option<(Box<Allocation>, Relay)>,
    input: BytesMut,
    out: Vec<u8>,
    /// When there has to be an allocation, or when that is over.
    deadline: Instant,
    /// Each message is written by itself.
    apart: bool,
}

/// What comes next.
enum Event {
    FromClient(std::io::Result<usize>),
    FromPeers,
    Deadline,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// `None` at the end.
    async fn step(&mut self) -> Option<()> {
        // Who has no allocation has nothing long to say.
        self.input.reserve(if self.held.is_some() { PIECE } else { SHORT });
        let relay = self.held.as_ref().map(|(_, relay)| relay);
        let readable = async {
            match relay {
                Some(relay) => relay.socket.readable().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            read = self.stream.read_buf(&mut self.input) => Event::FromClient(read),
            true = readable => Event::FromPeers,
            () = sleep_until(self.deadline) => Event::Deadline,
        };
        match event {
            Event::FromClient(read) => {
                read.ok().filter(|count| *count > 0)?;
                self.take_input()?;
            }
            Event::FromPeers => self.take_from_peers(),
            Event::Deadline => self.check_deadline()?,
        }
        self.write().await
    }

    fn take_input(&mut self) -> Option<()> {
        loop {
            let Some((message, whole)) = frame(&self.input)? else {
                return Some(());
            };
            if whole > SHORT && self.held.is_none() {
                return None;
            }
            if self.input.len() < whole {
                return Some(());
            }
            self.take(message);
            self.input.advance(whole);
        }
    }

    fn take(&mut self, length: usize) {
        let now = self.gate.now();
        let packet = &self.input[..length];
        let door = Door { gate: &self.gate, limiter: None };
        let allocation = self.held.as_mut().map(|(allocation, _)| &mut **allocation);
        let authority = &self.gate.authority;
        match handle(authority, &door, self.client, allocation, packet, now, &mut self.out) {
            Outcome::Relayed { peer, payload } => {
                if let Some((_, relay)) = &self.held {
                    relay.send(&self.gate, peer, &packet[payload]);
                }
            }
            Outcome::Allocated(allocation, relay) => {
                self.permit.authenticated();
                self.deadline = self.end_of(&allocation);
                self.held = Some((allocation, relay));
            }
            Outcome::Ended => {
                self.held = None;
                self.deadline = Instant::now() + IDLE;
            }
            Outcome::Refused(refusal) | Outcome::Dropped(refusal) => self.gate.count(refusal),
            Outcome::Answered => {}
        }
    }

    fn take_from_peers(&mut self) {
        let Some((allocation, relay)) = &mut self.held else { return };
        let (out, now) = (&mut self.out, self.gate.now());
        let allowed = |from, length| judge(allocation, from, length, now);
        let deliver = |via, message: &[u8]| {
            out.extend_from_slice(message);
            // RFC 8656, section 12.5: over TCP channel data is padded.
            if matches!(via, Via::Channel(_)) {
                out.resize(out.len() + message.len().next_multiple_of(4) - message.len(), 0);
            }
            out.len() < OUT
        };
        if let Err(error) = relay.receive(&self.gate, allowed, deliver) {
            tracing::debug!(%error, "reading from a relayed address");
        }
    }

    /// An allocation that was refreshed goes on.
    fn check_deadline(&mut self) -> Option<()> {
        let (allocation, _) = self.held.as_ref()?;
        if allocation.is_over(self.gate.now()) {
            return None;
        }
        self.deadline = self.end_of(allocation);
        Some(())
    }

    fn end_of(&self, allocation: &Allocation) -> Instant {
        Instant::now() + allocation.left(self.gate.now())
    }

    /// Nothing else is read meanwhile: a client that is slow to take gets less.
    async fn write(&mut self) -> Option<()> {
        if self.out.is_empty() {
            return Some(());
        }
        let writing = async {
            let mut rest = &self.out[..];
            while !rest.is_empty() {
                // COMPAT: coturn's client takes the first message of a TLS record and no more.
                let first = frame(rest).flatten().filter(|_| self.apart).map(|(_, whole)| whole);
                let (first, more) = rest.split_at(first.unwrap_or(rest.len()).min(rest.len()));
                self.stream.write_all(first).await?;
                rest = more;
            }
            self.stream.flush().await
        };
        timeout(WRITE, writing).await.ok()?.ok()?;
        self.out.clear();
        self.out.shrink_to(OUT);
        Some(())
    }
}

/// The length of the first message, without and with its padding (RFC 8656, section 12.5);
/// `Some(None)` while that cannot be told, `None` for what is no message.
fn frame(input: &[u8]) -> Option<Option<(usize, usize)>> {
    let Some(head) = input.first_chunk::<4>() else { return Some(None) };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        0 if length % 4 == 0 => Some(Some((HEADER + length, HEADER + length))),
        1 => Some(Some((CHANNEL_HEADER + length, CHANNEL_HEADER + length.next_multiple_of(4)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(frame(&[0, 1, 0]), Some(None));
        assert_eq!(frame(&[0, 1, 0, 0]), Some(Some((20, 20))));
        assert_eq!(frame(&[0, 3, 0, 8, 9]), Some(Some((28, 28))));
        assert_eq!(frame(&[0, 3, 0, 7]), None);
        assert_eq!(frame(&[0x40, 0, 0, 5]), Some(Some((9, 12))));
        assert_eq!(frame(&[0x40, 0, 0xff, 0xff]), Some(Some((65_539, 65_540))));
        assert_eq!(frame(b"GET / HTTP/1.1"), Some(Some((CHANNEL_HEADER + 0x5420, 4 + 0x5420))));
        assert_eq!(frame(&[0x80, 0, 0, 0]), None);
    }
}
