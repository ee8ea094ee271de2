//! What is counted against guessing and flooding: failed logins by account and by address, new
//! accounts by address.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wello_store::Timestamp;

use super::windows::Windows;
use crate::config::Auth;

/// Failed logins. Nothing is allowed above the bound until the window is over.
pub struct Throttle {
    max_failures: u32,
    accounts: Windows<u64>,
    addresses: Windows<IpAddr>,
    /// Names are counted by their hash, because a peer may send long ones.
    hasher: RandomState,
}

/// New accounts.
pub struct Quota {
    per_address: u32,
    per_block: u32,
    addresses: Windows<IpAddr>,
    blocks: Windows<IpAddr>,
}

/// An address that many users share may fail more often than one account.
const ADDRESS_FACTOR: u32 = 5;
const HOUR_SECONDS: u64 = 3600;

impl Throttle {
    pub fn new(config: &Auth) -> Throttle {
        Throttle {
            max_failures: config.max_failures,
            accounts: Windows::new(config.failure_window_seconds),
            addresses: Windows::new(config.failure_window_seconds),
            hasher: RandomState::new(),
        }
    }

    pub fn allows(&self, account: &str, from: Option<IpAddr>, now: Timestamp) -> bool {
        let account = self.accounts.count(&self.hasher.hash_one(account), now);
        let address = from.map_or(0, |from| self.addresses.count(&network(from), now));
        account < self.max_failures && address < self.max_failures.saturating_mul(ADDRESS_FACTOR)
    }

    /// `account` is what the peer called itself, whether there is such an account or not; `None`
    /// when it did not say.
    pub fn record_failure(&self, account: Option<&str>, from: Option<IpAddr>, now: Timestamp) {
        if let Some(account) = account {
            self.accounts.add(self.hasher.hash_one(account), now);
        }
        if let Some(from) = from {
            self.addresses.add(network(from), now);
        }
    }

    /// The account's owner is in: earlier failures were theirs or did not hurt.
    pub fn record_success(&self, account: &str) {
        self.accounts.forget(&self.hasher.hash_one(account));
    }
}

impl Quota {
    /// So many in an hour from one address, and from the block around it.
    pub fn hourly(per_address: u32, per_block: u32) -> Quota {
        let (addresses, blocks) = (Windows::new(HOUR_SECONDS), Windows::new(HOUR_SECONDS));
        Quota { per_address, per_block, addresses, blocks }
    }

    pub fn allows(&self, from: Option<IpAddr>, now: Timestamp) -> bool {
        from.is_none_or(|from| {
            self.addresses.count(&network(from), now) < self.per_address
                && self.blocks.count(&block(from), now) < self.per_block
        })
    }

    pub fn record(&self, from: Option<IpAddr>, now: Timestamp) {
        if let Some(from) = from {
            self.addresses.add(network(from), now);
            self.blocks.add(block(from), now);
        }
    }
}

/// The part of an address that one attacker surely has: a whole /64 in IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
}

/// What one attacker may well have, and an honest crowd, too: a company, a provider's site.
fn block(address: IpAddr) -> IpAddr {
    prefix(address, 24, 48)
}

/// So many bits of an address, the others being zero.
fn prefix(address: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0 << (32 - v4_bits)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !0 << (128 - v6_bits)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::windows::MAX_WINDOWS;
    use super::*;

    #[test]
    fn failures_are_counted_by_account_and_by_network() {
        let throttle = Throttle::new(&Auth { max_failures: 2, ..Auth::default() });
        let now = Timestamp::from_secs(1000);
        let address = Some("2001:db8::1".parse().unwrap());
        let neighbour = Some("2001:db8::2".parse().unwrap());
        assert!(throttle.allows("a@b", address, now));
        throttle.record_failure(Some("a@b"), address, now);
        throttle.record_failure(Some("a@b"), address, now);
        assert!(!throttle.allows("a@b", None, now));
        assert!(throttle.allows("b@b", neighbour, now));
        for number in 0..7 {
            throttle.record_failure(Some(&format!("{number}@b")), address, now);
        }
        assert!(throttle.allows("c@b", neighbour, now));
        throttle.record_failure(None, address, now);
        assert!(!throttle.allows("c@b", neighbour, now));
        let later = Timestamp::from_secs(1000 + 300);
        assert!(throttle.allows("a@b", neighbour, later));
    }

    #[test]
    fn a_success_forgets_the_failures_of_the_account() {
        let throttle = Throttle::new(&Auth { max_failures: 1, ..Auth::default() });
        let now = Timestamp::from_secs(1000);
        throttle.record_failure(Some("a@b"), None, now);
        assert!(!throttle.allows("a@b", None, now));
        throttle.record_success("a@b");
        assert!(throttle.allows("a@b", None, now));
    }

    #[test]
    fn a_flood_of_names_occupies_bounded_room_and_hides_no_guesser() {
        let throttle = Throttle::new(&Auth { max_failures: 2, ..Auth::default() });
        let now = Timestamp::from_secs(1000);
        throttle.record_failure(Some("a@b"), None, now);
        throttle.record_failure(Some("a@b"), None, now);
        for number in 0..MAX_WINDOWS + 10 {
            throttle.record_failure(Some(&format!("{number}@b")), None, now);
        }
        assert!(throttle.accounts.len() < MAX_WINDOWS);
        assert!(!throttle.allows("a@b", None, now));
    }

    #[test]
    fn new_accounts_are_counted_by_the_hour() {
        let quota = Quota::hourly(1, 40);
        let now = Timestamp::from_secs(1000);
        let address = Some("192.0.2.1".parse().unwrap());
        quota.record(address, now);
        assert!(!quota.allows(address, now));
        assert!(quota.allows(Some("192.0.2.2".parse().unwrap()), now));
        assert!(quota.allows(address, Timestamp::from_secs(1000 + 3600)));
    }

    #[test]
    fn whoever_has_many_addresses_is_counted_by_their_block() {
        let now = Timestamp::from_secs(1000);
        for [first, second, third, other] in [
            ["192.0.2.1", "192.0.2.200", "192.0.2.3", "192.0.3.1"],
            ["2001:db8:0:1::1", "2001:db8:0:ffff::1", "2001:db8:0:3::1", "2001:db8:1::1"],
        ] {
            let quota = Quota::hourly(2, 2);
            let at = |address: &str| Some(address.parse().unwrap());
            quota.record(at(first), now);
            assert!(quota.allows(at(second), now));
            quota.record(at(second), now);
            assert!(!quota.allows(at(third), now));
            assert!(quota.allows(at(other), now));
        }
    }
}
