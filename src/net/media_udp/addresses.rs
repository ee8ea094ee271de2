//! Under which addresses the media port is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses of this machine that a socket with this address receives at.
pub fn here(bound: SocketAddr) -> Vec<SocketAddr> {
    let port = bound.port();
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let v6 = bound.is_ipv6();
    let mut all = Vec::new();
    // Where packets would leave from: nothing is sent. Addresses of documentation (RFC 5737, 3849).
    all.extend(route(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()));
    if v6 {
        let somewhere = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        all.extend(route(Ipv6Addr::UNSPECIFIED.into(), somewhere.into()));
    }
    all.push(Ipv4Addr::LOCALHOST.into());
    if v6 {
        all.push(Ipv6Addr::LOCALHOST.into());
    }
    all.dedup();
    all.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

/// What clients are told: as configured, else the addresses here that are not only for this machine,
/// unless there are no others or the server is one to try out (`local`).
pub fn told(here: &[SocketAddr], configured: &[IpAddr], port: u16, local: bool) -> Vec<SocketAddr> {
    if !configured.is_empty() {
        return configured.iter().map(|address| SocketAddr::new(*address, port)).collect();
    }
    let (loopback, others): (Vec<_>, Vec<_>) =
        here.iter().copied().partition(|address| address.ip().is_loopback());
    match others.is_empty() || local {
        true => others.into_iter().chain(loopback).collect(),
        false => others,
    }
}

/// The engine knows these addresses alone: what was sent to another one of this machine counts as
/// sent to the first of its family.
pub fn known(here: &[SocketAddr], destination: SocketAddr) -> SocketAddr {
    if here.contains(&destination) {
        return destination;
    }
    let same = here.iter().find(|address| address.is_ipv4() == destination.is_ipv4());
    same.copied().unwrap_or(destination)
}

fn route(from: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
    socket.connect(SocketAddr::new(to, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_is_told_only_when_it_helps() {
        let here = all(&["192.0.2.7:10000", "127.0.0.1:10000"]);
        assert_eq!(told(&here, &[], 10000, false), all(&["192.0.2.7:10000"]));
        assert_eq!(told(&here, &[], 10000, true), here);
        assert_eq!(told(&here[1..], &[], 10000, false), all(&["127.0.0.1:10000"]));
        let public: IpAddr = "203.0.113.1".parse().unwrap();
        assert_eq!(told(&here, &[public], 10000, true), all(&["203.0.113.1:10000"]));
    }

    #[test]
    fn a_socket_of_one_address_is_reached_there_alone() {
        assert_eq!(here("127.0.0.1:9".parse().unwrap()), all(&["127.0.0.1:9"]));
        assert!(here("[::]:9".parse().unwrap()).contains(&"127.0.0.1:9".parse().unwrap()));
    }
}
