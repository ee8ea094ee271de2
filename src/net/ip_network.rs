//! Ranges of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A CIDR range. IPv4 addresses in IPv6 clothes (`::ffff:192.0.2.1`, as a dual-stack socket
/// reports them) count as IPv4 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// What one customer usually has: an IPv4 address, an IPv6 /64.
    pub fn of_subscriber(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { 32 } else { 64 };
        Self { address: masked(address, prefix), prefix }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

/// Not `ADDRESS` or `ADDRESS/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IP address or network such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")]
pub struct InvalidNetwork(String);

impl FromStr for IpNetwork {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let whole = if address.is_ipv4() { 32 } else { 128 };
            match prefix {
                Some(prefix) if prefix > whole => None,
                Some(prefix) => Some(Self { address: masked(address, prefix), prefix }),
                None => Some(Self { address, prefix: whole }),
            }
        };
        parse().ok_or_else(|| InvalidNetwork(text.to_owned()))
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn containment() {
        assert!(network("10.0.0.0/8").contains(ip("10.255.0.1")));
        assert!(network("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(network("192.0.2.1").contains(ip("192.0.2.1")));
        assert!(!network("192.0.2.1").contains(ip("192.0.2.2")));
        assert!(network("0.0.0.0/0").contains(ip("8.8.8.8")));
        assert!(!network("0.0.0.0/0").contains(ip("2001:db8::1")));
        assert!(network("::/0").contains(ip("2001:db8::1")));
        assert!(network("2001:db8::/32").contains(ip("2001:db8:ffff::1")));
        assert!(!network("2001:db8::/32").contains(ip("2001:db9::1")));
    }

    #[test]
    fn text() {
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "a", "10.0.0/8"] {
            assert!(bad.parse::<IpNetwork>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn subscribers() {
        let of = |text| IpNetwork::of_subscriber(ip(text)).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1/32");
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    }
}
