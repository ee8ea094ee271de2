//! A way to the server on which datagrams get lost, come again, or come from somebody else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Longer than any datagram.
const DATAGRAM: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    Server,
    Client,
}

/// From whom a datagram comes as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Usual,
    /// An address from which nothing has come before. Only the server hears of it.
    Stranger,
}

/// What arrives when a datagram was sent.
pub type Rule = Box<dyn FnMut(Toward, &[u8]) -> Vec<(Sender, Vec<u8>)> + Send>;

/// Only this datagram arrives.
pub fn pass(datagram: &[u8]) -> Vec<(Sender, Vec<u8>)> {
    vec![(Sender::Usual, datagram.to_vec())]
}

/// RFC 7983, section 7.
pub fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

pub fn is_handshake(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

/// Every so many packets of media get lost, in both directions.
pub fn lossy(every: usize) -> Rule {
    let mut count = 0_usize;
    Box::new(move |_, datagram| {
        count += usize::from(is_media(datagram));
        match is_media(datagram) && count.is_multiple_of(every) {
            true => Vec::new(),
            false => pass(datagram),
        }
    })
}

pub struct Relay {
    /// Where clients find the server.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// What its tasks share.
struct Shared {
    server: SocketAddr,
    near: UdpSocket,
    stranger: UdpSocket,
    rule: Mutex<Rule>,
}

impl Relay {
    pub async fn open(server: SocketAddr, rule: Rule) -> Relay {
        let shared =
            Shared { server, near: bind().await, stranger: bind().await, rule: Mutex::new(rule) };
        let address = shared.near.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::new(shared).run());
        Relay { address, _tasks: tasks }
    }
}

impl Shared {
    /// Each client has an address of its own before the server, as behind a router.
    async fn run(self: Arc<Shared>) {
        let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut ways_back = JoinSet::new();
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let Ok((length, client)) = self.near.recv_from(&mut buffer).await else { continue };
            if let std::collections::hash_map::Entry::Vacant(entry) = clients.entry(client) {
                let far = Arc::new(bind().await);
                ways_back.spawn(Arc::clone(&self).way_back(Arc::clone(&far), client));
                entry.insert(far);
            }
            let arriving = (self.rule.lock())(Toward::Server, &buffer[..length]);
            for (sender, datagram) in arriving {
                let socket = match sender {
                    Sender::Usual => &clients[&client],
                    Sender::Stranger => &self.stranger,
                };
                let _ = socket.send_to(&datagram, self.server).await;
            }
        }
    }

    async fn way_back(self: Arc<Shared>, far: Arc<UdpSocket>, client: SocketAddr) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let Ok(length) = far.recv(&mut buffer).await else { continue };
            let arriving = (self.rule.lock())(Toward::Client, &buffer[..length]);
            for (_, datagram) in arriving {
                // It may have gone.
                let _ = self.near.send_to(&datagram, client).await;
            }
        }
    }
}

async fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}
