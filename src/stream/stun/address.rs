//! Addresses, hidden from translators that rewrite what looks like one (RFC 8489, section 14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC, TransactionId};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// The longest value of such an attribute.
pub(super) const LONGEST: usize = 20;

/// Returns the length that was written.
pub(super) fn write(to: &mut [u8; LONGEST], address: SocketAddr, id: &TransactionId) -> usize {
    let mask = mask(id);
    let mut port = address.port().to_be_bytes();
    xor(&mut port, &mask);
    to[0] = 0;
    to[2..4].copy_from_slice(&port);
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            to[1] = IPV4;
            to[4..8].copy_from_slice(&ip.octets());
            xor(&mut to[4..8], &mask);
            8
        }
        IpAddr::V6(ip) => {
            to[1] = IPV6;
            to[4..20].copy_from_slice(&ip.octets());
            xor(&mut to[4..20], &mask);
            20
        }
    }
}

pub(super) fn read(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let mask = mask(id);
    let mut port = [head[2], head[3]];
    xor(&mut port, &mask);
    let ip: IpAddr = match head[1] {
        IPV4 => {
            let mut octets: [u8; 4] = address.try_into().ok()?;
            xor(&mut octets, &mask);
            Ipv4Addr::from(octets).into()
        }
        IPV6 => {
            let mut octets: [u8; 16] = address.try_into().ok()?;
            xor(&mut octets, &mask);
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

fn mask(id: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC);
    mask[4..].copy_from_slice(id);
    mask
}

fn xor(bytes: &mut [u8], mask: &[u8; 16]) {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}
