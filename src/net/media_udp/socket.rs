//! Many datagrams at a time, in and out.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use wello_sfu::Outgoing;

use crate::listener::{ListenOptions, Listener};

/// What the kernel of the system may hold for us: half a second of 100 Mbit/s.
const BUFFER: usize = 4 * 1024 * 1024;
/// Messages read with one call; each may hold many datagrams of one sender.
const MESSAGES: usize = 16;
/// Bytes of one message.
const MESSAGE: usize = 64 * 1024;
/// Rounds of reading before others get their turn.
const ROUNDS: usize = 8;

/// Ports that are tried when any will do: one that is free for UDP may be taken for TCP.
const ATTEMPTS: usize = 16;

/// Bound for UDP and TCP, before its thread runs.
pub struct MediaSocket {
    socket: std::net::UdpSocket,
    local: SocketAddr,
    listener: Listener,
}

impl MediaSocket {
    /// An address `[::]` serves IPv4 too. Needs a running tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<MediaSocket> {
        let mut attempts = if address.port() == 0 { ATTEMPTS } else { 1 };
        loop {
            let socket = bind_udp(address)?;
            let local = socket.local_addr()?;
            attempts -= 1;
            match Listener::bind(local, ListenOptions::default()) {
                Ok(listener) => return Ok(MediaSocket { socket, local, listener }),
                Err(error) if attempts == 0 => return Err(io::Error::other(error)),
                Err(_) => {}
            }
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// On the runtime that is going to use it.
    pub(super) fn open(self) -> io::Result<(Open, Listener)> {
        let state = UdpSocketState::new((&self.socket).into())?;
        let socket = UdpSocket::from_std(self.socket)?;
        let open = Open { socket, state, local: self.local, buffers: vec![0; MESSAGES * MESSAGE] };
        Ok((open, self.listener))
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // The system may allow less; that is enough for small conferences.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

pub(super) struct Open {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    buffers: Vec<u8>,
}

impl Open {
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Gives what has come, with where it came from and where it was sent to.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, SocketAddr, &[u8])) {
        for _ in 0..ROUNDS {
            let mut metas = [RecvMeta::default(); MESSAGES];
            let mut chunks = self.buffers.chunks_mut(MESSAGE);
            let mut slices: [IoSliceMut<'_>; MESSAGES] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let count = read(&self.socket, &self.state, &mut slices, &mut metas);
            for (meta, buffer) in metas[..count].iter().zip(self.buffers.chunks(MESSAGE)) {
                let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
                let to = meta.dst_ip.unwrap_or(self.local.ip()).to_canonical();
                let destination = SocketAddr::new(to, self.local.port());
                let stride = meta.stride.max(1);
                for datagram in buffer[..meta.len.min(MESSAGE)].chunks(stride) {
                    take(source, destination, datagram);
                }
            }
            if count < MESSAGES {
                return;
            }
        }
    }

    /// In as few calls as the system allows.
    pub fn send(&self, outgoing: &Outgoing) {
        let most = self.state.max_gso_segments().saturating_mul(outgoing.segment).max(1);
        for contents in outgoing.contents.chunks(most) {
            let transmit = Transmit {
                destination: self.reachable(outgoing.destination),
                ecn: None,
                contents,
                segment_size: (contents.len() > outgoing.segment).then_some(outgoing.segment),
                src_ip: Some(outgoing.source.ip()),
            };
            // A full buffer of the system loses packets, as a full link does: the receiver asks again.
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), &transmit)
            });
            if let Err(error) = sent {
                tracing::trace!(%error, "datagrams not sent");
            }
        }
    }

    /// A socket for both families wants IPv4 addresses as IPv6.
    fn reachable(&self, address: SocketAddr) -> SocketAddr {
        match (self.local, address.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(v4)) => {
                let mapped: Ipv6Addr = v4.to_ipv6_mapped();
                SocketAddr::new(mapped.into(), address.port())
            }
            _ => address,
        }
    }
}

/// Messages that were there. Fewer than there was room for were all: the socket is not asked once
/// more to say so. Errors that come back from where we sent to (ICMP) are of no use here.
fn read(
    socket: &UdpSocket,
    state: &UdpSocketState,
    slices: &mut [IoSliceMut<'_>],
    metas: &mut [RecvMeta],
) -> usize {
    let mut count = 0;
    let _ = socket.try_io(Interest::READABLE, || {
        count = state.recv(socket.into(), slices, metas)?;
        if count < MESSAGES { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    count
}

#[cfg(test)]
mod tests {
    use wello_sfu::peer::Transport;

    use super::*;

    #[tokio::test]
    async fn datagrams_come_and_go_with_both_addresses() {
        let bound = MediaSocket::bind("[::]:0".parse().unwrap()).unwrap();
        let port = bound.local().port();
        let (mut open, _) = bound.open().unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let here = SocketAddr::from(([127, 0, 0, 1], port));
        client.send_to(b"question", here).await.unwrap();
        let mut got = Vec::new();
        while got.is_empty() {
            open.readable().await.unwrap();
            open.receive(|source, to, contents| got.push((source, to, contents.to_vec())));
        }
        let there = client.local_addr().unwrap();
        assert_eq!(got, [(there, here, b"question".to_vec())]);
        open.send(&Outgoing {
            transport: Transport::Udp,
            source: here,
            destination: there,
            contents: b"onetwo3".to_vec(),
            segment: 3,
        });
        let mut buffer = [0; 100];
        for expected in [&b"one"[..], b"two", b"3"] {
            let (count, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..count], from), (expected, here));
        }
    }
}
