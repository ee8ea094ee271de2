//! Whom packets may be relayed to. A relay stands inside the operator's network: without rules it
//! would be a door into it.

use std::net::UdpSocket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wello_kernel::config::Turn;
use wello_stream::turn::Reach;

use crate::ip_network::{InvalidNetwork, IpNetwork};
use crate::outbound::is_public;

/// RFC 1918, RFC 6598, RFC 4193: what `allow_private_peers` opens. Not loopback, and not the
/// link-local addresses where clouds keep their metadata.
const PRIVATE: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

/// The rules of the configuration.
pub struct PeerPolicy {
    allowed: Vec<IpNetwork>,
    private: Vec<IpNetwork>,
    /// Addresses that are ours whatever the machine says.
    own: Vec<IpAddr>,
}

impl PeerPolicy {
    pub fn new(config: &Turn) -> Result<PeerPolicy, InvalidNetwork> {
        let parse = |networks: &mut dyn Iterator<Item = &str>| {
            networks.map(str::parse).collect::<Result<Vec<IpNetwork>, _>>()
        };
        let allowed = parse(&mut config.allowed_peers.iter().map(String::as_str))?;
        let private = match config.allow_private_peers {
            true => parse(&mut PRIVATE.into_iter())?,
            false => Vec::new(),
        };
        let own = config.relay_address.iter().chain(&config.external_address);
        Ok(PeerPolicy { allowed, private, own: own.map(IpAddr::to_canonical).collect() })
    }

    /// `is_own` is asked whether an address is this machine's.
    pub fn reach(&self, peer: IpAddr, is_own: impl FnOnce(IpAddr) -> bool) -> Option<Reach> {
        let peer = peer.to_canonical();
        let among = |networks: &[IpNetwork]| networks.iter().any(|one| one.contains(peer));
        if peer.is_unspecified() || peer.is_multicast() {
            return None;
        }
        if among(&self.allowed) {
            return Some(Reach::Everything);
        }
        if self.own.contains(&peer) {
            return Some(Reach::OpenPorts);
        }
        if peer.is_loopback() {
            return None;
        }
        if is_own(peer) {
            return Some(Reach::OpenPorts);
        }
        (is_public(peer) || among(&self.private)).then_some(Reach::Everything)
    }
}

/// Whether packets to an address stay on this machine: then the way there begins at it.
pub(super) fn is_own(address: IpAddr) -> bool {
    route_from(SocketAddr::new(address, 9)).is_some_and(|from| from == address.to_canonical())
}

/// This machine's address on the way to all that is far away, by documentation's addresses, which
/// nobody else routes.
pub fn own_address(ipv6: bool) -> Option<IpAddr> {
    let far: IpAddr = match ipv6 {
        false => Ipv4Addr::new(198, 51, 100, 1).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    route_from(SocketAddr::new(far, 9))
}

/// Connecting a UDP socket sends nothing.
pub(super) fn route_from(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match to.ip().to_canonical() {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(SocketAddr::new(to.ip().to_canonical(), to.port())).ok()?;
    let from = socket.local_addr().ok()?.ip();
    (!from.is_unspecified()).then(|| from.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(config: &str, peer: &str) -> Option<Reach> {
        let text = format!("[turn]\n{config}");
        let config = wello_kernel::config::Config::parse(&text, []).unwrap().turn;
        let policy = PeerPolicy::new(&config).unwrap();
        // What stands for an address of this machine.
        policy.reach(peer.parse().unwrap(), |ip| ip.to_string() == "8.8.4.4")
    }

    #[test]
    fn only_public_addresses_and_not_the_servers_own() {
        let all = |config: &str, peers: &str, expected: Option<Reach>| {
            for peer in peers.split_whitespace() {
                assert_eq!(reach(config, peer), expected, "{peer} with {config:?}");
            }
        };
        let (everything, open) = (Some(Reach::Everything), Some(Reach::OpenPorts));
        let private = "10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 fd00::1 ::ffff:10.0.0.1";
        let never = "127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1 0.0.0.0 :: 169.254.169.254 \
                     fe80::1 224.0.0.1 ff02::1 255.255.255.255 64:ff9b::a9fe:a9fe";
        all("", "1.1.1.1 2606:4700::1111", everything);
        all("", private, None);
        all("", never, None);
        all("", "8.8.4.4", open);
        all("allow_private_peers = true", private, everything);
        all("allow_private_peers = true", never, None);
        let listed = "allowed_peers = ['127.0.0.0/8', '10.0.0.0/24']";
        all(listed, "127.0.0.1 10.0.0.9", everything);
        all(listed, "10.0.1.1 ::1 192.168.1.1", None);
        all("relay_address = ['127.0.0.1']", "127.0.0.1", open);
        all("relay_address = ['127.0.0.1']", "127.0.0.2", None);
        all("external_address = ['8.8.8.8']", "8.8.8.8", open);
    }

    #[test]
    fn this_machine_knows_its_addresses() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(198, 51, 100, 1).into()));
        if let Some(address) = own_address(false) {
            assert!(is_own(address));
        }
    }

    #[test]
    fn what_is_no_network_is_told() {
        let config = Turn { allowed_peers: vec!["10.0.0.0/33".into()], ..Turn::default() };
        assert!(PeerPolicy::new(&config).is_err());
    }
}
