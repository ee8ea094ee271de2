//! ICE over TCP (RFC 6544): clients that are reached by no UDP connect to the port of the same
//! number. Datagrams travel in frames (RFC 4571), each with its length before it.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, ConnectionPermit};
use crate::listener::{Accepted, Listener};

/// The longest datagram: nothing that is sent by UDP is longer.
const MAX_FRAME: usize = 2048;
/// What may wait for a client that is slow to take: a second of two Mbit/s. What comes on top is
/// lost, as it is on a full link.
const MAX_WAITING: usize = 256 * 1024;
/// How long a client may take nothing at all.
const WRITE: Duration = Duration::from_secs(10);
/// How long a connection may take to prove by a connectivity check whose it is.
const PROOF: Duration = Duration::from_secs(10);
/// Clients check every few seconds whether the way is still there (RFC 7675).
const SILENCE: Duration = Duration::from_secs(60);
/// Frames of all connections that the engine has not seen.
const MAX_ARRIVALS: usize = 1024;

/// What has come by a connection.
pub(super) struct Frame {
    pub source: SocketAddr,
    /// Where the client has connected to.
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
}

enum Arrival {
    Opened(SocketAddr, Arc<Outbox>),
    Frame(Frame),
    Closed(SocketAddr, Arc<Outbox>),
}

/// The connections of a shard.
pub(super) struct Streams {
    connections: HashMap<SocketAddr, Arc<Outbox>>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Streams {
    /// On the runtime that is going to serve them.
    pub fn open(listener: Listener, admission: Admission, shutdown: CancellationToken) -> Streams {
        let (arriving, arrivals) = mpsc::channel(MAX_ARRIVALS);
        tokio::spawn(async move {
            let serve = |accepted| {
                tokio::spawn(serve(accepted, arriving.clone()));
            };
            listener.run(admission, shutdown.cancelled(), serve).await;
        });
        Streams { connections: HashMap::new(), arrivals }
    }

    pub async fn next(&mut self) -> Frame {
        loop {
            match self.arrivals.recv().await {
                Some(arrival) => {
                    if let Some(frame) = self.take(arrival) {
                        return frame;
                    }
                }
                // The end has come: the shard is told by other ways.
                None => pending().await,
            }
        }
    }

    pub fn try_next(&mut self) -> Option<Frame> {
        loop {
            let arrival = self.arrivals.try_recv().ok()?;
            if let Some(frame) = self.take(arrival) {
                return Some(frame);
            }
        }
    }

    fn take(&mut self, arrival: Arrival) -> Option<Frame> {
        match arrival {
            Arrival::Opened(client, outbox) => {
                self.connections.insert(client, outbox);
            }
            Arrival::Frame(frame) => return Some(frame),
            Arrival::Closed(client, outbox) => {
                // The client may have connected again from the same port.
                if self.connections.get(&client).is_some_and(|known| Arc::ptr_eq(known, &outbox)) {
                    self.connections.remove(&client);
                }
            }
        }
        None
    }

    /// To a client that is not connected any more nothing is sent.
    pub fn send(&self, client: SocketAddr, datagram: &[u8]) {
        if let Some(outbox) = self.connections.get(&client) {
            outbox.put(datagram);
        }
    }

    /// A valid connectivity check has come by this connection.
    pub fn prove(&self, client: SocketAddr) {
        if let Some(outbox) = self.connections.get(&client)
            && !outbox.proven.swap(true, Ordering::Relaxed)
        {
            outbox.permit.authenticated();
        }
    }
}

/// What a client is going to get.
struct Outbox {
    waiting: Mutex<Vec<u8>>,
    filled: Notify,
    proven: AtomicBool,
    permit: ConnectionPermit,
}

impl Outbox {
    fn new(permit: ConnectionPermit) -> Outbox {
        Outbox {
            waiting: Mutex::default(),
            filled: Notify::new(),
            proven: AtomicBool::new(false),
            permit,
        }
    }

    fn put(&self, datagram: &[u8]) {
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        let mut waiting = self.waiting.lock();
        if waiting.len() + datagram.len() <= MAX_WAITING {
            waiting.extend(length.to_be_bytes());
            waiting.extend(datagram);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Waits until there is something.
    async fn take(&self) -> Vec<u8> {
        loop {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if !waiting.is_empty() {
                return waiting;
            }
            self.filled.notified().await;
        }
    }
}

/// Serves a connection to its end.
async fn serve(accepted: Accepted, arriving: mpsc::Sender<Arrival>) {
    let Accepted { stream, peer, local, permit } = accepted;
    let outbox = Arc::new(Outbox::new(permit));
    let (input, output) = stream.into_split();
    if arriving.send(Arrival::Opened(peer, Arc::clone(&outbox))).await.is_err() {
        return;
    }
    let ended = tokio::select! {
        ended = read(input, peer, local, &arriving) => ended,
        ended = write(output, &outbox) => ended,
        () = unproven(&outbox) => Err(io::Error::other("no connectivity check")),
    };
    tracing::debug!(client = %peer, ?ended, "media connection closed");
    // Nobody listens any more when the shard has ended.
    let _ = arriving.send(Arrival::Closed(peer, outbox)).await;
}

async fn read(
    mut input: OwnedReadHalf,
    source: SocketAddr,
    destination: SocketAddr,
    arriving: &mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(contents) = frame(&mut buffer)? {
            // When the engine is behind nothing more is read.
            let arrival = Arrival::Frame(Frame { source, destination, contents });
            arriving.send(arrival).await.map_err(io::Error::other)?;
        }
        buffer.reserve(MAX_FRAME);
        if timeout(SILENCE, input.read_buf(&mut buffer)).await?? == 0 {
            return Ok(());
        }
    }
}

async fn write(mut output: OwnedWriteHalf, outbox: &Outbox) -> io::Result<()> {
    loop {
        let waiting = outbox.take().await;
        timeout(WRITE, output.write_all(&waiting)).await??;
    }
}

async fn unproven(outbox: &Outbox) {
    sleep(PROOF).await;
    if outbox.proven.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Takes the first frame off; `None` while it is not whole.
fn frame(buffer: &mut BytesMut) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = buffer.first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_FRAME {
        return Err(io::Error::other("a frame that is too long"));
    }
    if buffer.len() < 2 + length {
        return Ok(None);
    }
    buffer.advance(2);
    Ok(Some(buffer.split_to(length).to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::net::TcpStream;

    use super::*;
    use crate::listener::ListenOptions;

    async fn open() -> (Streams, SocketAddr, CancellationToken) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default());
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        (Streams::open(listener, Admission::new(10, 10), shutdown.clone()), address, shutdown)
    }

    #[tokio::test]
    async fn frames_come_and_go() {
        let (mut streams, address, _shutdown) = open().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&[0, 3, 1, 2, 3, 0, 0, 0]).await.unwrap();
        client.write_all(&[1, 9]).await.unwrap();
        let first = streams.next().await;
        assert_eq!((first.source, first.destination), (client.local_addr().unwrap(), address));
        assert_eq!(first.contents, [1, 2, 3]);
        assert!(streams.next().await.contents.is_empty());
        assert_eq!(streams.next().await.contents, [9]);
        streams.send(first.source, &[7, 8]);
        let mut got = [0; 4];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [0, 2, 7, 8]);
    }

    #[tokio::test]
    async fn who_proves_nothing_is_closed() {
        let (mut streams, address, _shutdown) = open().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut proving = TcpStream::connect(address).await.unwrap();
        proving.write_all(&[0, 1, 1]).await.unwrap();
        let frame = streams.next().await;
        streams.prove(frame.source);
        // Now time flies whenever nothing else happens.
        tokio::time::pause();
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
        streams.send(frame.source, &[5]);
        assert_eq!(proving.read(&mut [0; 8]).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_ends_the_connection() {
        let (_streams, address, _shutdown) = open().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn what_a_slow_client_does_not_take_is_dropped() {
        let admission = Admission::new(1, 1);
        let slot = admission.slot().await;
        let outbox = Outbox::new(admission.admit(slot, [127, 0, 0, 1].into()).unwrap());
        for _ in 0..2 * MAX_WAITING / 1000 {
            outbox.put(&[0; 1000]);
        }
        let waiting = outbox.take().await;
        assert!(waiting.len() <= MAX_WAITING + 2, "{}", waiting.len());
        assert_eq!(waiting.len() % 1002, 0);
        outbox.put(&[1]);
        assert_eq!(outbox.take().await, [0, 1, 1]);
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_are_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..10),
            cut in 1_usize..400,
        ) {
            let mut bytes = Vec::new();
            for contents in &frames {
                bytes.extend((contents.len() as u16).to_be_bytes());
                bytes.extend(contents);
            }
            let mut buffer = BytesMut::new();
            let mut read = Vec::new();
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(contents) = frame(&mut buffer).unwrap() {
                    read.push(contents);
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert!(buffer.is_empty());
        }
    }
}
