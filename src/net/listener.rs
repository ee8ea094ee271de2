//! Listening sockets and the loop that accepts from them.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admission::{Admission, ConnectionPermit, Slot};
use crate::ip_network::IpNetwork;
use crate::proxy_protocol::{self, ProxyHeaderError, canonical};

/// Connections that wait to be accepted; the kernel takes the lesser of this and
/// net.core.somaxconn. Everyone comes back at once after a restart.
const BACKLOG: i32 = 4096;
/// Time for a proxy to send its header: it is in the first segment.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How dead peers are noticed (phones that lost the network say no goodbye).
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// Silence before TCP asks whether the peer is still there. Long: it wakes up phones.
    pub keepalive_idle: Duration,
    pub keepalive_interval: Duration,
    /// Time that data may stay unacknowledged (TCP_USER_TIMEOUT).
    pub unacknowledged: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            keepalive_idle: Duration::from_secs(300),
            keepalive_interval: Duration::from_secs(30),
            unacknowledged: Duration::from_secs(90),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Connections from these networks must begin with a PROXY header, others must not.
    pub proxies: Vec<IpNetwork>,
    pub liveness: Liveness,
}

/// The port is in use, or not ours to take.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(source))]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    options: ListenOptions,
}

/// A connection that may be served. It counts as long as `permit` lives.
pub struct Accepted {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub permit: ConnectionPermit,
}

impl Listener {
    /// Needs a running tokio runtime.
    pub fn bind(address: SocketAddr, options: ListenOptions) -> Result<Self, ListenError> {
        let socket = match bind_socket(address) {
            // "Everywhere" on a machine whose kernel has no IPv6.
            Err(error)
                if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                    && matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL)) =>
            {
                bind_socket((Ipv4Addr::UNSPECIFIED, address.port()).into())
            }
            result => result,
        };
        let socket = socket.map_err(|source| ListenError { address, source })?;
        Ok(Self { socket, options })
    }

    /// With the port that was chosen, if 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `shutdown` is over, then closes the socket. `on_accept` must not block; it
    /// spawns the task that owns the connection.
    pub async fn run(
        self,
        admission: Admission,
        shutdown: impl Future<Output = ()>,
        on_accept: impl FnMut(Accepted),
    ) {
        accept_loop(&self.socket, &self.options, &admission, shutdown, on_accept).await;
    }
}

/// Where connections come from: a socket, or a script in tests.
trait Incoming {
    fn next(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>>;
}

impl Incoming for TcpListener {
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

async fn accept_loop(
    incoming: &impl Incoming,
    options: &ListenOptions,
    admission: &Admission,
    shutdown: impl Future<Output = ()>,
    mut on_accept: impl FnMut(Accepted),
) {
    let mut proxied = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    tokio::pin!(shutdown);
    loop {
        // Room first: a connection that is accepted is a connection that is served.
        let next = async { (admission.slot().await, incoming.next().await) };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(finished) = proxied.join_next(), if !proxied.is_empty() => {
                if let Ok(Some(accepted)) = finished {
                    on_accept(accepted);
                }
                continue;
            }
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                let peer = canonical(peer);
                if options.proxies.iter().any(|proxy| proxy.contains(peer.ip())) {
                    proxied.spawn(accept_proxied(
                        stream,
                        peer,
                        slot,
                        admission.clone(),
                        options.liveness,
                    ));
                } else if let Some(accepted) =
                    accept_direct(stream, peer, slot, admission, options.liveness)
                {
                    on_accept(accepted);
                }
            }
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                // Out of file descriptors or memory: asking again at once would only burn the
                // processor. Everyone already connected is served meanwhile.
                if pause == FIRST_PAUSE {
                    tracing::error!(%error, "cannot accept connections; trying again");
                }
                drop(slot);
                tokio::select! {
                    () = &mut shutdown => return,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn accept_direct(
    stream: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    admission: &Admission,
    liveness: Liveness,
) -> Option<Accepted> {
    let local = configure(&stream, liveness).ok()?;
    admit(admission, slot, stream, peer, local)
}

async fn accept_proxied(
    mut stream: TcpStream,
    proxy: SocketAddr,
    slot: Slot,
    admission: Admission,
    liveness: Liveness,
) -> Option<Accepted> {
    let local = configure(&stream, liveness).ok()?;
    match proxy_protocol::read_header(&mut stream, PROXY_HEADER_TIMEOUT).await {
        Ok(Some(seen)) => admit(&admission, slot, stream, seen.peer, seen.local),
        Ok(None) => admit(&admission, slot, stream, proxy, local),
        // Health checks that connect and close.
        Err(ProxyHeaderError::Io(error)) => {
            tracing::debug!(%proxy, %error, "connection without PROXY header");
            None
        }
        Err(error) => {
            tracing::warn!(%proxy, %error, "connection from a proxy closed");
            None
        }
    }
}

fn admit(
    admission: &Admission,
    slot: Slot,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
) -> Option<Accepted> {
    let Some(permit) = admission.admit(slot, peer.ip()) else {
        tracing::debug!(%peer, "too many connections from this address");
        return None;
    };
    Some(Accepted { stream, peer, local, permit })
}

/// Sets the socket's options; gives its local address.
pub(crate) fn configure(stream: &TcpStream, liveness: Liveness) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(liveness.keepalive_idle)
        .with_interval(liveness.keepalive_interval);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(liveness.unacknowledged))?;
    stream.local_addr().map(canonical)
}

fn bind_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

// Linux numbers; std has no ErrorKind for the first.
const EAFNOSUPPORT: i32 = 97;
const EADDRNOTAVAIL: i32 = 99;

/// accept(2): errors that belong to the connection that was to be accepted, not to us.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::PermissionDenied // a firewall
    )
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "; another program has this port (ss -tlnp shows which)",
        ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        ErrorKind::AddrNotAvailable => "; this machine does not have this address",
        _ => "",
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
