//! The sockets of STUN and TURN: `wello_stream::turn` says what a packet means, this carries it.
//!
//! By UDP a client's packets always come to the same of a few tasks, which share the port; each
//! relayed address has one more task, for what comes from peers. By TCP and TLS one task has both.

mod gate;
mod limiter;
mod peers;
mod relay;
mod secret;
mod stream;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::external_services::{OwnPorts, own};

pub use peers::{PeerPolicy, own_address};
pub use secret::{SecretError, open_secret};

use crate::ip_network::InvalidNetwork;
use crate::listener::{Accepted, ListenOptions, Listener};
use crate::tls::{ListenerKind, TlsAcceptor};
use gate::Gate;
use udp::Shard;

/// Ports that are ours before anything is served, and the secret that credentials are made with.
pub struct Bound {
    udp: Vec<udp::Socket>,
    tcp: Vec<Listener>,
    tls: Vec<Listener>,
    secret: String,
}

/// What to accept connections from.
pub struct Listeners {
    pub tcp: Vec<Listener>,
    pub tls: Vec<Listener>,
}

/// Binds the configured ports and adds those that there are to what clients are told. Without a
/// port there is less of this service: no reason to serve nobody.
pub fn bind(config: &mut Config) -> Result<Bound, SecretError> {
    let listen = &config.listen;
    let tcp = |name: &str, addresses: &[SocketAddr]| -> Vec<Listener> {
        let bind = |address: &SocketAddr| Listener::bind(*address, ListenOptions::default());
        let bound = addresses.iter().map(bind).map(|bound| {
            bound.inspect_err(|error| tracing::warn!("{name}: calls have no such relay: {error}"))
        });
        bound.filter_map(Result::ok).collect()
    };
    let udp: Vec<udp::Socket> =
        listen.turn.iter().filter_map(|address| bind_udp(*address)).collect();
    let (tcp, tls) = (tcp("listen.turn", &listen.turn), tcp("listen.turns", &listen.turns));
    let used = !udp.is_empty() || !tcp.is_empty() || !tls.is_empty();
    let secret = if used { open_secret(&config.data_dir)? } else { String::new() };
    let ports = |listeners: &[Listener]| distinct(listeners.iter().map(Listener::local_addr));
    let ports = OwnPorts {
        udp: distinct(udp.iter().map(|socket| Ok(socket.local))),
        tcp: ports(&tcp),
        tls: ports(&tls),
    };
    config.external_service.extend(own(&config.turn, &secret, &ports));
    Ok(Bound { udp, tcp, tls, secret })
}

fn bind_udp(address: SocketAddr) -> Option<udp::Socket> {
    let failed = |error: &io::Error| {
        tracing::warn!(
            "listen.turn: calls have no relay by UDP: cannot listen on {address}: {error}"
        );
    };
    udp::Socket::bind(address).inspect_err(failed).ok()
}

/// Whether a UDP port could be had.
pub fn try_udp(address: SocketAddr) -> io::Result<()> {
    udp::open(address, false).map(drop)
}

fn distinct(addresses: impl Iterator<Item = io::Result<SocketAddr>>) -> Vec<u16> {
    let mut ports: Vec<u16> = addresses.filter_map(Result::ok).map(|at| at.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

impl Bound {
    /// Name and address of each port, for people.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let of = |name, listeners: &[Listener]| -> Vec<(&'static str, SocketAddr)> {
            let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
            addresses.map(|address| (name, address)).collect()
        };
        let mut all: Vec<_> = self.udp.iter().map(|socket| ("turn", socket.local)).collect();
        all.extend(of("turn_tcp", &self.tcp));
        all.extend(of("turns", &self.tls));
        all
    }
}

/// The server; one for the process.
#[derive(Clone)]
pub struct TurnServer {
    gate: Arc<Gate>,
    acceptor: TlsAcceptor,
}

impl TurnServer {
    /// Begins to serve the UDP ports; connections of the listeners are for [`TurnServer::serve_tcp`]
    /// and [`TurnServer::serve_tls`].
    pub fn start(
        bound: Bound,
        kernel: &Arc<Kernel>,
        acceptor: TlsAcceptor,
        shutdown: &CancellationToken,
    ) -> Result<(TurnServer, Listeners), InvalidNetwork> {
        let gate = Arc::new(Gate::new(kernel, bound.secret)?);
        for socket in bound.udp {
            let shards = socket.shards.len();
            for port in socket.shards {
                let shard = Shard::new(Arc::clone(&gate), port, shards);
                tokio::spawn(shard.run(shutdown.clone()));
            }
        }
        let listeners = Listeners { tcp: bound.tcp, tls: bound.tls };
        Ok((TurnServer { gate, acceptor }, listeners))
    }

    pub async fn serve_tcp(self, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        stream::serve(self.gate, stream, peer, permit, false).await;
    }

    pub async fn serve_tls(self, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        match self.acceptor.accept(stream, ListenerKind::Turns).await {
            Ok(Some((stream, _))) => stream::serve(self.gate, stream, peer, permit, true).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%peer, %error, "handshake failed"),
        }
    }
}

/// The first address of a family in a list.
fn of_family(addresses: &[IpAddr], ipv6: bool) -> Option<IpAddr> {
    addresses.iter().copied().find(|address| address.is_ipv6() == ipv6)
}
