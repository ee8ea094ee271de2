//! The meeting place of bytestreams (XEP-0065, section 6.3): just as much of SOCKS5 (RFC 1928) as
//! it takes to name a stream by its hash. Nothing is connected to from here, and no byte passes
//! before a client of ours has said that two connections belong together.

mod greeting;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use wello_kernel::bytestreams::{Bytestreams, Partner, Stream, Turn};

use crate::listener::Accepted;
use greeting::{Refusal, accepted, greeting, refused, request};

/// How long the greeting and the request may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection waits to be activated: the other side has yet to connect.
const ACTIVATION: Duration = Duration::from_secs(120);
/// A file that nobody sends any more.
const SILENCE: Duration = Duration::from_secs(300);
/// Bytes that are carried at a time.
const PIECE: usize = 16 * 1024;

/// Serves one connection.
pub async fn serve(bytestreams: Bytestreams, accepted: Accepted) {
    let Accepted { stream, permit, peer, .. } = accepted;
    let partner = Partner { stream: Box::new(stream), held: Box::new(permit) };
    if let Err(reason) = meet(&bytestreams, partner).await {
        tracing::debug!(%peer, reason, "bytestream ended");
    }
}

/// Why a connection ended before it carried anything.
type Reason = &'static str;

async fn meet(bytestreams: &Bytestreams, mut partner: Partner) -> Result<(), Reason> {
    let handshake = timeout(HANDSHAKE, handshake(&mut partner.stream));
    let (key, answer) = handshake.await.map_err(|_| "handshake took too long")??;
    let Ok(mut place) = bytestreams.wait(&key) else {
        let _ = partner.stream.write_all(&refused(Refusal::NotAllowed)).await;
        return Err("no place");
    };
    partner.stream.write_all(&answer).await.map_err(|_| "gone")?;
    let turn = timeout(ACTIVATION, &mut place.turn).await.map_err(|_| "not activated")?;
    match turn.map_err(|_| "not activated")? {
        Turn::Give(to) => to.send(partner).map_err(|_| "the other side is gone"),
        Turn::Relay(from, active) => {
            let other = from.await.map_err(|_| "the other side is gone")?;
            carry(partner.stream, other.stream).await;
            drop((active, partner.held, other.held));
            Ok(())
        }
    }
}

/// Returns the hash and the answer that goes with it.
async fn handshake(stream: &mut Box<dyn Stream>) -> Result<(String, Vec<u8>), Reason> {
    let mut head = [0; 2];
    read(stream, &mut head).await?;
    let mut methods = vec![0; usize::from(head[1])];
    read(stream, &mut methods).await?;
    let answer = greeting(head[0], &methods);
    stream.write_all(&answer.0).await.map_err(|_| "gone")?;
    if !answer.1 {
        return Err("no method");
    }
    let mut head = [0; 5];
    read(stream, &mut head).await?;
    let mut rest = vec![0; usize::from(head[4]) + 2];
    if let Err(refusal) = request(head) {
        let _ = stream.write_all(&refused(refusal)).await;
        return Err("not a bytestream");
    }
    read(stream, &mut rest).await?;
    match accepted(&rest) {
        Some(accepted) => Ok(accepted),
        None => {
            let _ = stream.write_all(&refused(Refusal::NotAllowed)).await;
            Err("not a hash")
        }
    }
}

async fn read(stream: &mut Box<dyn Stream>, buffer: &mut [u8]) -> Result<(), Reason> {
    stream.read_exact(buffer).await.map(|_| ()).map_err(|_| "gone")
}

/// Until both have said all, or nobody says anything.
async fn carry(one: Box<dyn Stream>, other: Box<dyn Stream>) {
    let (one_reads, one_writes) = tokio::io::split(one);
    let (other_reads, other_writes) = tokio::io::split(other);
    tokio::join!(pass(one_reads, other_writes), pass(other_reads, one_writes));
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; PIECE];
    loop {
        let step = async {
            let count = from.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
            to.write_all(&buffer[..count]).await.ok()
        };
        if !matches!(timeout(SILENCE, step).await, Ok(Some(()))) {
            // The other direction may go on.
            let _ = to.shutdown().await;
            return;
        }
    }
}
