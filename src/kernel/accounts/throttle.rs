//! Failed logins by account and by address, so that guessing is slow from wherever it comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use wello_store::Timestamp;

use crate::config::Auth;

/// Counts failures in a window; nothing is allowed above the bound until the window is over.
pub struct Throttle {
    max_failures: u32,
    window_micros: i64,
    failures: Mutex<HashMap<Key, Failures>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(Box<str>),
    Address(IpAddr),
}

struct Failures {
    since: Timestamp,
    count: u32,
}

/// An address that many users share may fail more often than one account.
const ADDRESS_FACTOR: u32 = 5;
/// Entries before those whose window is over are swept out.
const MAX_ENTRIES: usize = 50_000;

impl Throttle {
    pub fn new(config: &Auth) -> Throttle {
        let window = i64::try_from(config.failure_window_seconds).unwrap_or(i64::MAX);
        Throttle {
            max_failures: config.max_failures,
            window_micros: window.saturating_mul(1_000_000),
            failures: Mutex::default(),
        }
    }

    pub fn allows(&self, account: &str, from: Option<IpAddr>, now: Timestamp) -> bool {
        let failures = self.failures.lock();
        let over = |key: &Key, max: u32| {
            failures
                .get(key)
                .is_some_and(|failed| self.is_recent(failed, now) && failed.count >= max)
        };
        let address = from.map(|from| Key::Address(network(from)));
        !over(&Key::Account(account.into()), self.max_failures)
            && !address.is_some_and(|key| over(&key, self.max_failures * ADDRESS_FACTOR))
    }

    pub fn record_failure(&self, account: &str, from: Option<IpAddr>, now: Timestamp) {
        let mut failures = self.failures.lock();
        if failures.len() >= MAX_ENTRIES {
            failures.retain(|_, failed| self.is_recent(failed, now));
        }
        let address = from.map(|from| Key::Address(network(from)));
        for key in [Some(Key::Account(account.into())), address].into_iter().flatten() {
            let failed = failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if !self.is_recent(failed, now) {
                *failed = Failures { since: now, count: 0 };
            }
            failed.count += 1;
        }
    }

    /// The account's owner is in: earlier failures were theirs or did not hurt.
    pub fn record_success(&self, account: &str) {
        self.failures.lock().remove(&Key::Account(account.into()));
    }

    fn is_recent(&self, failed: &Failures, now: Timestamp) -> bool {
        now < failed.since.plus_micros(self.window_micros)
    }
}

/// The part of an address that one attacker surely has: a whole /64 in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_account_and_by_network() {
        let throttle = Throttle::new(&Auth { max_failures: 2, ..Auth::default() });
        let now = Timestamp::from_secs(1000);
        let address = Some("2001:db8::1".parse().unwrap());
        let neighbour = Some("2001:db8::2".parse().unwrap());
        assert!(throttle.allows("a@b", address, now));
        throttle.record_failure("a@b", address, now);
        throttle.record_failure("a@b", address, now);
        assert!(!throttle.allows("a@b", None, now));
        assert!(throttle.allows("b@b", neighbour, now));
        for number in 0..10 {
            throttle.record_failure(&format!("{number}@b"), address, now);
        }
        assert!(!throttle.allows("c@b", neighbour, now));
        let later = Timestamp::from_secs(1000 + 300);
        assert!(throttle.allows("a@b", neighbour, later));
    }

    #[test]
    fn a_success_forgets_the_failures_of_the_account() {
        let throttle = Throttle::new(&Auth { max_failures: 1, ..Auth::default() });
        let now = Timestamp::from_secs(1000);
        throttle.record_failure("a@b", None, now);
        throttle.record_success("a@b");
        assert!(throttle.allows("a@b", None, now));
    }
}
