//! Relayed addresses: their sockets, and how what comes to them is wrapped for the client.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use tokio::net::UdpSocket;
use wello_stream::stun::data_indication::{HEADROOM, TAIL, wrap};
use wello_stream::turn::{Allocation, CHANNEL_HEADER, Now, Refusal, Via};

use super::gate::{Gate, Place};

/// The longest payload of UDP.
const LONGEST: usize = 65_507;
/// Packets that are carried before others get their turn.
pub(super) const BURST: usize = 64;

thread_local! {
    /// Where packets lie while they are carried: each is there and gone between two awaits.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; HEADROOM + LONGEST + TAIL]);
}

/// The socket of an allocation, and what counts it.
pub(super) struct Relay {
    pub(super) socket: UdpSocket,
    /// What the socket is bound to.
    pub(super) local: SocketAddr,
    /// As others see it.
    pub(super) told: SocketAddr,
    pub(super) _place: Place,
}

impl Relay {
    /// What cannot be sent now is lost, as it would be on the way.
    pub(super) fn send(&self, gate: &Gate, peer: SocketAddr, payload: &[u8]) {
        if self.socket.try_send_to(payload, self.inward(gate, peer)).is_ok() {
            gate.metrics.turn.to_peers.inc_by(payload.len() as u64);
        }
    }

    /// Takes up to [`BURST`] packets that have come, and gives each to `deliver`, wrapped for the
    /// client; it says whether it wants more.
    pub(super) fn receive(
        &self,
        gate: &Gate,
        mut judge: impl FnMut(SocketAddr, usize) -> Result<Via, Refusal>,
        mut deliver: impl FnMut(Via, &[u8]) -> bool,
    ) -> io::Result<()> {
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..BURST {
                let space = &mut buffer[HEADROOM..HEADROOM + LONGEST];
                let (length, from) = match self.socket.try_recv_from(space) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                };
                let from = self.outward(gate, from);
                match judge(from, length) {
                    Err(refusal) => gate.count(refusal),
                    Ok(via) => {
                        gate.metrics.turn.to_clients.inc_by(length as u64);
                        let message = packed(buffer, length, from, &via);
                        if !deliver(via, &buffer[message]) {
                            return Ok(());
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Behind a router, other relayed addresses and conferences are reached here: not every router
    /// takes packets back that its own network sends to its outside.
    fn inward(&self, gate: &Gate, peer: SocketAddr) -> SocketAddr {
        let is_ours = self.told.ip() != self.local.ip() && peer.ip() == self.told.ip();
        match is_ours && gate.is_open(peer) {
            true => SocketAddr::new(self.local.ip(), peer.port()),
            false => peer,
        }
    }

    fn outward(&self, gate: &Gate, peer: SocketAddr) -> SocketAddr {
        let is_ours = self.told.ip() != self.local.ip() && peer.ip() == self.local.ip();
        match is_ours && gate.is_open(peer) {
            true => SocketAddr::new(self.told.ip(), peer.port()),
            false => peer,
        }
    }
}

/// Writes the head before the payload, which begins at [`HEADROOM`].
fn packed(buffer: &mut [u8], length: usize, from: SocketAddr, via: &Via) -> Range<usize> {
    match via {
        Via::Indication(id) => wrap(buffer, HEADROOM..HEADROOM + length, from, id),
        Via::Channel(number) => {
            let start = HEADROOM - CHANNEL_HEADER;
            buffer[start..start + 2].copy_from_slice(&number.to_be_bytes());
            // At most LONGEST.
            buffer[start + 2..HEADROOM].copy_from_slice(&(length as u16).to_be_bytes());
            start..HEADROOM + length
        }
    }
}

/// What `receive` asks an allocation; none that is over passes anything on.
pub(super) fn judge(
    allocation: &mut Allocation,
    from: SocketAddr,
    length: usize,
    now: Now,
) -> Result<Via, Refusal> {
    match allocation.is_over(now) {
        true => Err(Refusal::Mismatch),
        false => allocation.receive_from(from, length, now),
    }
}

/// Which address to bind for a client.
pub(super) fn local_address(
    configured: Option<IpAddr>,
    ipv6: bool,
    client: IpAddr,
) -> Option<IpAddr> {
    let client = client.to_canonical();
    let towards_client = || {
        let same = client.is_ipv6() == ipv6;
        same.then(|| super::peers::route_from(SocketAddr::new(client, 9))).flatten()
    };
    configured.or_else(|| super::own_address(ipv6)).or_else(towards_client)
}
