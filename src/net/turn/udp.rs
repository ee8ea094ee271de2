//! Clients that come by UDP.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket as Socket2, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wello_stream::turn::{Allocation, Outcome, handle};

use super::gate::{Door, Gate};
use super::limiter::Limiter;
use super::relay::{Relay, judge};
use crate::proxy_protocol::canonical;

/// More tasks than this for one port do not help.
const MAX_SHARDS: usize = 8;
/// Datagrams that are read at once; each buffer may hold several of one client (GRO).
const BATCH: usize = 8;
const BUFFER: usize = 64 * 1024;
/// Reads before other tasks get their turn.
const ROUNDS: usize = 16;
/// How often allocations that are over are taken away; they carry nothing meanwhile.
const SWEEP: Duration = Duration::from_secs(5);
/// What may wait in the kernel while a task is busy elsewhere.
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// A bound port with a socket for each task that serves it.
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) shards: Vec<Port>,
}

/// One of the sockets of a port.
pub(super) struct Port {
    io: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    /// Needs a running tokio runtime.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        // Sockets that share a port would share it with another server of the same user, too.
        drop(open(address, false)?);
        let first = open(address, true)?;
        let local = first.local_addr()?;
        let shards = available_parallelism().map_or(1, usize::from).min(MAX_SHARDS);
        let more = (1..shards).map(|_| open(local, true));
        let sockets = std::iter::once(Ok(first)).chain(more);
        let shards = sockets.map(|socket| Port::new(socket?)).collect::<io::Result<_>>()?;
        Ok(Socket { local, shards })
    }
}

pub(super) fn open(address: SocketAddr, shared: bool) -> io::Result<std::net::UdpSocket> {
    match open_family(address, shared) {
        // "Everywhere" on a machine whose kernel has no IPv6.
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6() => {
            open_family((Ipv4Addr::UNSPECIFIED, address.port()).into(), shared)
        }
        result => result,
    }
}

fn has_ipv6() -> bool {
    Socket2::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).is_ok()
}

fn open_family(address: SocketAddr, shared: bool) -> io::Result<std::net::UdpSocket> {
    let socket = Socket2::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // As much as the system allows.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Port {
    fn new(socket: std::net::UdpSocket) -> io::Result<Port> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Port { io: UdpSocket::from_std(socket)?, state })
    }

    /// What cannot be sent now is lost, as it would be on the way.
    fn send(&self, flow: &Flow, contents: &[u8]) -> bool {
        let transmit = Transmit {
            destination: flow.client,
            ecn: None,
            contents,
            segment_size: None,
            // The client knows us by the address that it sent to, of which we may have several.
            src_ip: flow.local,
        };
        let send = || self.state.try_send((&self.io).into(), &transmit);
        self.io.try_io(Interest::WRITABLE, send).is_ok()
    }
}

/// The way between a client and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    /// As the socket has it: IPv4 in the clothes of IPv6, perhaps.
    client: SocketAddr,
    local: Option<IpAddr>,
}

/// A client that has an allocation.
struct Client {
    allocation: Arc<Mutex<Allocation>>,
    relay: Arc<Relay>,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One of the tasks that serve a port. The kernel gives it all packets of the clients that it has.
pub(super) struct Shard {
    gate: Arc<Gate>,
    port: Arc<Port>,
    clients: HashMap<Flow, Client>,
    limiter: Mutex<Limiter>,
    out: Vec<u8>,
}

impl Shard {
    /// `shards` of them serve the port.
    pub(super) fn new(gate: Arc<Gate>, port: Port, shards: usize) -> Shard {
        // A forged source may use many ports, and so come to all of them.
        let shards = u32::try_from(shards).unwrap_or(1);
        let rate = gate.config.unauthenticated_per_second.div_ceil(shards);
        Shard {
            limiter: Mutex::new(Limiter::new(rate)),
            gate,
            port: Arc::new(port),
            clients: HashMap::new(),
            out: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut space = vec![0; BATCH * BUFFER];
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = sweep.tick() => self.sweep(),
                ready = self.port.io.readable() => {
                    if let Err(error) = ready.and_then(|()| self.receive(&mut space)) {
                        tracing::debug!(%error, "reading from the TURN port");
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.gate.now();
        self.clients.retain(|_, client| !client.allocation.lock().is_over(now));
        self.gate.forget_reserved();
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let mut about = [RecvMeta::default(); BATCH];
            let port = Arc::clone(&self.port);
            let received = port.io.try_io(Interest::READABLE, || {
                let mut buffers = space.chunks_mut(BUFFER).map(IoSliceMut::new);
                let mut buffers: [IoSliceMut<'_>; BATCH] = std::array::from_fn(|_| {
                    buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut []))
                });
                port.state.recv((&port.io).into(), &mut buffers, &mut about)
            });
            let count = match received {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            for (about, buffer) in about[..count].iter().zip(space.chunks(BUFFER)) {
                let flow = Flow { client: about.addr, local: about.dst_ip };
                for packet in buffer[..about.len].chunks(about.stride.max(1)) {
                    self.take(flow, packet);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, flow: Flow, packet: &[u8]) {
        self.out.clear();
        let now = self.gate.now();
        let client = self.clients.get(&flow);
        let door = Door { gate: &self.gate, limiter: Some(&self.limiter) };
        let outcome = {
            let mut allocation = client.map(|client| client.allocation.lock());
            let allocation = allocation.as_deref_mut();
            let (authority, from) = (&self.gate.authority, canonical(flow.client));
            handle(authority, &door, from, allocation, packet, now, &mut self.out)
        };
        match outcome {
            Outcome::Relayed { peer, payload } => {
                if let Some(client) = client {
                    client.relay.send(&self.gate, peer, &packet[payload]);
                }
            }
            Outcome::Allocated(allocation, relay) => self.begin(flow, *allocation, relay),
            Outcome::Ended => drop(self.clients.remove(&flow)),
            Outcome::Refused(refusal) | Outcome::Dropped(refusal) => self.gate.count(refusal),
            Outcome::Answered => {}
        }
        if !self.out.is_empty() {
            self.port.send(&flow, &self.out);
        }
    }

    fn begin(&mut self, flow: Flow, allocation: Allocation, relay: Relay) {
        let (allocation, relay) = (Arc::new(Mutex::new(allocation)), Arc::new(relay));
        let carrying = carry(
            Arc::clone(&self.gate),
            Arc::clone(&self.port),
            flow,
            Arc::clone(&allocation),
            Arc::clone(&relay),
        );
        let task = tokio::spawn(carrying);
        self.clients.insert(flow, Client { allocation, relay, task });
    }
}

/// Takes to the client what peers send to its relayed address.
async fn carry(
    gate: Arc<Gate>,
    port: Arc<Port>,
    flow: Flow,
    allocation: Arc<Mutex<Allocation>>,
    relay: Arc<Relay>,
) {
    while relay.socket.readable().await.is_ok() {
        let now = gate.now();
        let allowed = |from, length| judge(&mut allocation.lock(), from, length, now);
        let deliver = |_, message: &[u8]| {
            port.send(&flow, message);
            true
        };
        if let Err(error) = relay.receive(&gate, allowed, deliver) {
            tracing::debug!(%error, "reading from a relayed address");
        }
        tokio::task::yield_now().await;
    }
}
