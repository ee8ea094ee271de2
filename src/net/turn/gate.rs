//! What the server decides about clients: quotas, peers, ports.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use wello_kernel::Kernel;
use wello_kernel::clock::{Clock, random_bytes};
use wello_kernel::config::Turn;
use wello_kernel::metrics::{Metrics, RefusalLabels};
use wello_stream::turn::{Authority, Host, Now, Opened, PortWish, Reach, Refusal, Wish};

use super::limiter::Limiter;
use super::of_family;
use super::peers::{PeerPolicy, is_own};
use super::relay::{Relay, local_address};
use crate::ip_network::{InvalidNetwork, IpNetwork};

/// Ports that are tried before there is none.
const TRIES: usize = 64;
/// RFC 8656, section 7.2: how long the port after an even one is kept.
const RESERVATION: Duration = Duration::from_secs(30);
/// Ports that are kept at once.
const MAX_RESERVATIONS: usize = 500;

/// Shared by all that serve clients.
pub(super) struct Gate {
    pub(super) authority: Authority,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: Turn,
    clock: Clock,
    begin: Instant,
    peers: PeerPolicy,
    /// Of conferences.
    media_ports: Vec<u16>,
    /// A bit for each port that a relay has, of IPv4 and then of IPv6.
    relays: Box<[AtomicU64]>,
    counts: Mutex<Counts>,
    reserved: Mutex<HashMap<[u8; 8], Reserved>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    users: HashMap<Box<str>, usize>,
    subscribers: HashMap<IpNetwork, usize>,
}

struct Reserved {
    socket: UdpSocket,
    until: Now,
}

/// Counts one allocation as long as it is there.
pub(super) struct Place {
    gate: Arc<Gate>,
    user: Box<str>,
    subscriber: IpNetwork,
    /// Once it has one.
    local: Option<SocketAddr>,
}

impl Gate {
    pub(super) fn new(kernel: &Arc<Kernel>, secret: String) -> Result<Gate, InvalidNetwork> {
        let config = kernel.config.turn.clone();
        let realm = kernel.config.domains().first().copied().unwrap_or("localhost").to_owned();
        Ok(Gate {
            authority: Authority::new(realm, secret, random_bytes()),
            metrics: Arc::clone(&kernel.metrics),
            peers: PeerPolicy::new(&config)?,
            config,
            clock: kernel.clock.clone(),
            begin: Instant::now(),
            media_ports: kernel.config.listen.media.iter().map(SocketAddr::port).collect(),
            relays: (0..2 * 65_536 / 64).map(|_| AtomicU64::new(0)).collect(),
            counts: Mutex::default(),
            reserved: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> Now {
        self.begin.elapsed()
    }

    pub(super) fn count(&self, refusal: Refusal) {
        let labels = RefusalLabels { reason: refusal.reason() };
        self.metrics.turn.refusals.get_or_create(&labels).inc();
    }

    /// Whether calls may reach a port of this machine: another relay's, or that of conferences.
    pub(super) fn is_open(&self, address: SocketAddr) -> bool {
        self.is_relay(address) || self.media_ports.contains(&address.port())
    }

    /// Whether an allocation has this port now.
    fn is_relay(&self, address: SocketAddr) -> bool {
        let (place, bit) = place_of(address);
        self.relays[place].load(Ordering::Relaxed) & bit != 0
    }

    fn mark(&self, address: SocketAddr, used: bool) {
        let (place, bit) = place_of(address);
        let place = &self.relays[place];
        match used {
            true => place.fetch_or(bit, Ordering::Relaxed),
            false => place.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    fn take_place(self: &Arc<Self>, user: Box<str>, client: IpAddr) -> Result<Place, Refusal> {
        let subscriber = IpNetwork::of_subscriber(client);
        let mut counts = self.counts.lock();
        let of_user = counts.users.get(&user).copied().unwrap_or(0);
        let of_subscriber = counts.subscribers.get(&subscriber).copied().unwrap_or(0);
        if of_user >= self.config.allocations_per_user {
            return Err(Refusal::UserQuota);
        }
        if of_subscriber >= self.config.allocations_per_address {
            return Err(Refusal::AddressQuota);
        }
        if counts.all >= self.config.allocations {
            return Err(Refusal::Capacity);
        }
        counts.all += 1;
        counts.users.insert(user.clone(), of_user + 1);
        counts.subscribers.insert(subscriber, of_subscriber + 1);
        drop(counts);
        self.metrics.turn.allocations.inc();
        Ok(Place { gate: Arc::clone(self), user, subscriber, local: None })
    }

    /// A socket as wished, and the token for the next port.
    fn bind(&self, ip: IpAddr, wish: PortWish) -> Result<(UdpSocket, Option<[u8; 8]>), Refusal> {
        self.forget_reserved();
        if let PortWish::Reserved(token) = wish {
            let reserved = self.reserved.lock().remove(&token).ok_or(Refusal::Capacity)?;
            return Ok((reserved.socket, None));
        }
        for _ in 0..TRIES {
            let mut port = self.random_port();
            if wish != PortWish::Any {
                port &= !1;
                if port < self.config.min_port {
                    continue;
                }
            }
            let Ok(socket) = bind(SocketAddr::new(ip, port)) else { continue };
            if wish != PortWish::EvenAndNext {
                return Ok((socket, None));
            }
            if port == self.config.max_port {
                continue;
            }
            if let Ok(next) = bind(SocketAddr::new(ip, port + 1)) {
                return Ok((socket, Some(self.reserve(next)?)));
            }
        }
        Err(Refusal::Capacity)
    }

    fn random_port(&self) -> u16 {
        let Turn { min_port, max_port, .. } = self.config;
        let count = u32::from(max_port - min_port) + 1;
        // Below 65536.
        min_port + (u32::from_be_bytes(random_bytes()) % count) as u16
    }

    fn reserve(&self, socket: UdpSocket) -> Result<[u8; 8], Refusal> {
        let mut reserved = self.reserved.lock();
        if reserved.len() >= MAX_RESERVATIONS {
            return Err(Refusal::Capacity);
        }
        let token = random_bytes();
        reserved.insert(token, Reserved { socket, until: self.now() + RESERVATION });
        Ok(token)
    }

    pub(super) fn forget_reserved(&self) {
        let now = self.now();
        self.reserved.lock().retain(|_, reserved| now < reserved.until);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(local) = self.local {
            self.gate.mark(local, false);
        }
        let mut counts = self.gate.counts.lock();
        counts.all -= 1;
        decrease(&mut counts.users, &self.user);
        decrease(&mut counts.subscribers, &self.subscriber);
        drop(counts);
        self.gate.metrics.turn.allocations.dec();
    }
}

fn place_of(address: SocketAddr) -> (usize, u64) {
    let bit = usize::from(address.port()) + if address.is_ipv6() { 65_536 } else { 0 };
    (bit / 64, 1 << (bit % 64))
}

fn decrease<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// The gate as one who serves clients sees it.
pub(super) struct Door<'a> {
    pub(super) gate: &'a Arc<Gate>,
    /// For what comes without a handshake, whose source may be forged.
    pub(super) limiter: Option<&'a Mutex<Limiter>>,
}

impl Host for Door<'_> {
    type Relay = Relay;

    fn unix(&self) -> i64 {
        self.gate.clock.now().as_micros() / 1_000_000
    }

    fn may_answer(&self, client: SocketAddr) -> bool {
        let now = self.gate.now();
        self.limiter.is_none_or(|limiter| limiter.lock().admit(client.ip(), now))
    }

    fn reach(&self, peer: IpAddr) -> Option<Reach> {
        self.gate.peers.reach(peer, is_own)
    }

    fn is_open(&self, peer: SocketAddr) -> bool {
        self.gate.is_open(peer)
    }

    fn open(&self, wish: Wish) -> Result<Opened<Relay>, Refusal> {
        let Wish { client, user, ipv6, port } = wish;
        let config = &self.gate.config;
        let mut place = self.gate.take_place(user, client.ip())?;
        let ip = local_address(of_family(&config.relay_address, ipv6), ipv6, client.ip());
        let ip = ip.ok_or(Refusal::AddressFamily)?;
        let (socket, token) = self.gate.bind(ip, port)?;
        let local = socket.local_addr().map_err(|_| Refusal::Capacity)?;
        let outside = of_family(&config.external_address, local.is_ipv6()).unwrap_or(local.ip());
        let told = SocketAddr::new(outside, local.port());
        place.local = Some(local);
        self.gate.mark(local, true);
        Ok(Opened { relay: Relay { socket, local, told, _place: place }, address: told, token })
    }

    fn bytes_per_second(&self) -> u64 {
        self.gate.config.bytes_per_second
    }
}
