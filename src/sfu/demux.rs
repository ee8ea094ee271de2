//! Whose a datagram is (RFC 7983): connectivity checks name their leg, everything else is known by
//! the address from which a valid check has come.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::api::LegId;
use crate::peer::Transport;

/// A client as its datagrams show it.
pub type Address = (Transport, SocketAddr);

/// Addresses that one leg may have: a client with several networks that moves.
const MAX_ADDRESSES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// With the user name fragment of our side.
    Check(&'a str),
    /// An answer to a check of ours.
    Answer,
    /// DTLS, SRTP or SRTCP.
    Secured,
    /// None of them.
    Foreign,
}

const STUN_HEADER: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const USERNAME: u16 = 0x0006;

/// RFC 7983, section 7.
pub fn kind(datagram: &[u8]) -> Kind<'_> {
    match datagram.first() {
        Some(0 | 1) => stun(datagram).unwrap_or(Kind::Foreign),
        Some(20..=63 | 128..=191) => Kind::Secured,
        _ => Kind::Foreign,
    }
}

/// RFC 8489, sections 5 and 14.3.
fn stun(datagram: &[u8]) -> Option<Kind<'_>> {
    let (header, mut rest) = datagram.split_at_checked(STUN_HEADER)?;
    if header[4..8] != MAGIC {
        return None;
    }
    if header[..2] != BINDING_REQUEST {
        return Some(Kind::Answer);
    }
    loop {
        let (head, tail) = rest.split_at_checked(4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..length)?;
        if kind == USERNAME {
            let name = std::str::from_utf8(value).ok()?;
            return Some(Kind::Check(name.split_once(':')?.0));
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
}

/// Whether it is SRTCP, which looks like SRTP but for its types (RFC 5761, section 4).
pub fn is_report(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

/// Where the legs are.
#[derive(Default)]
pub struct Directory {
    by_ufrag: HashMap<String, LegId>,
    by_address: HashMap<Address, LegId>,
    addresses: HashMap<LegId, VecDeque<Address>>,
}

impl Directory {
    /// `false` when another leg has this name.
    pub fn name(&mut self, ufrag: &str, leg: LegId) -> bool {
        *self.by_ufrag.entry(ufrag.to_owned()).or_insert(leg) == leg
    }

    /// A leg that has begun anew is not found by its old names any more.
    pub fn rename(&mut self, ufrag: &str, leg: LegId) -> bool {
        let named = self.name(ufrag, leg);
        if named {
            self.by_ufrag.retain(|name, known| *known != leg || name == ufrag);
        }
        named
    }

    pub fn named(&self, ufrag: &str) -> Option<LegId> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub fn at(&self, address: Address) -> Option<LegId> {
        self.by_address.get(&address).copied()
    }

    /// A valid check has come from this address.
    pub fn proven(&mut self, leg: LegId, address: Address) {
        match self.by_address.insert(address, leg) {
            Some(before) if before == leg => return,
            // The client has closed that one and uses its port again.
            Some(before) => {
                if let Some(addresses) = self.addresses.get_mut(&before) {
                    addresses.retain(|known| *known != address);
                }
            }
            None => {}
        }
        let addresses = self.addresses.entry(leg).or_default();
        addresses.push_back(address);
        if addresses.len() > MAX_ADDRESSES
            && let Some(oldest) = addresses.pop_front()
        {
            self.by_address.remove(&oldest);
        }
    }

    pub fn forget(&mut self, leg: LegId) {
        self.by_ufrag.retain(|_, named| *named != leg);
        for address in self.addresses.remove(&leg).into_iter().flatten() {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0];
        datagram.extend(MAGIC);
        datagram.extend([7; 12]);
        // An attribute of another kind, padded, before the name.
        datagram.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        datagram.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
        datagram.extend(username.as_bytes());
        datagram.extend(vec![0; username.len().next_multiple_of(4) - username.len()]);
        datagram
    }

    #[test]
    fn checks_name_their_leg() {
        assert_eq!(kind(&check("ours:theirs")), Kind::Check("ours"));
        assert_eq!(kind(&check("nothing")), Kind::Foreign);
        let mut answer = check("ours:theirs");
        answer[0] = 1;
        assert_eq!(kind(&answer), Kind::Answer);
        answer[5] = 0;
        assert_eq!(kind(&answer), Kind::Foreign);
        assert_eq!(kind(&[22, 254, 253]), Kind::Secured);
        assert_eq!(kind(&[128, 0]), Kind::Secured);
        assert_eq!(kind(&[70, 0]), Kind::Foreign);
        assert_eq!(kind(&[]), Kind::Foreign);
    }

    #[test]
    fn reports_are_told_from_media() {
        assert!(is_report(&[128, 200, 0, 6]) && is_report(&[129, 205]));
        assert!(!is_report(&[128, 96, 0, 1]) && !is_report(&[128, 224]) && !is_report(&[22, 200]));
        assert!(!is_report(&[128]));
    }

    #[test]
    fn an_address_belongs_to_the_last_leg_that_proved_it() {
        let address = |port| (Transport::Udp, SocketAddr::from(([192, 0, 2, 1], port)));
        let mut all = Directory::default();
        assert!(all.name("a", LegId(1)) && all.name("b", LegId(2)) && !all.name("a", LegId(2)));
        all.proven(LegId(1), address(1));
        all.proven(LegId(2), address(1));
        assert_eq!(all.at(address(1)), Some(LegId(2)));
        all.forget(LegId(1));
        assert_eq!(all.at(address(1)), Some(LegId(2)));
        assert_eq!((all.named("a"), all.named("b")), (None, Some(LegId(2))));
        for port in 2..100 {
            all.proven(LegId(2), address(port));
        }
        assert_eq!(all.by_address.len(), MAX_ADDRESSES);
        all.forget(LegId(2));
        assert!(all.by_address.is_empty() && all.addresses.is_empty());
    }

    proptest! {
        #[test]
        fn any_datagram_is_of_some_kind(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
            kind(&datagram);
            let mut stun = check("a:b");
            stun.extend(datagram);
            kind(&stun[..stun.len() - 1]);
        }
    }
}
