//! How often a source is answered that has proved nothing, in a fixed amount of memory.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::ip_network::IpNetwork;

/// Sources that fall into the same place share its rate. Which do, nobody can choose.
const PLACES: usize = 4096;
/// What may come at once, in seconds of the rate: devices behind one address begin together.
const BURST_SECONDS: u64 = 4;

pub(super) struct Limiter {
    /// When the next answer is due in microseconds, were they sent evenly.
    due: Box<[u64]>,
    hasher: RandomState,
    /// Between two answers, in microseconds; 0 is no limit.
    interval: u64,
}

impl Limiter {
    pub(super) fn new(per_second: u32) -> Limiter {
        let interval = 1_000_000_u64.checked_div(u64::from(per_second)).unwrap_or(0);
        let places = if interval == 0 { 0 } else { PLACES };
        Limiter { due: vec![0; places].into(), hasher: RandomState::new(), interval }
    }

    pub(super) fn admit(&mut self, from: IpAddr, now: Duration) -> bool {
        if self.interval == 0 {
            return true;
        }
        let place = self.hasher.hash_one(IpNetwork::of_subscriber(from)) as usize % PLACES;
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let due = self.due[place].max(now);
        let admitted = due - now <= BURST_SECONDS * 1_000_000;
        if admitted {
            self.due[place] = due + self.interval;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_rate_of_its_own() {
        let mut limiter = Limiter::new(10);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let flood = |limiter: &mut Limiter, from: IpAddr, at| {
            (0..1000).filter(|_| limiter.admit(from, Duration::from_secs(at))).count()
        };
        assert_eq!(flood(&mut limiter, one, 100), 41);
        assert_eq!(flood(&mut limiter, one, 101), 10);
        // Some of many share its place.
        let others = (0..100_u8).map(|n| IpAddr::from([198, 51, 100, n]));
        let free = others.filter(|other| limiter.admit(*other, Duration::from_secs(101))).count();
        assert!(free > 90, "{free}");
        // One subscriber of IPv6 has many addresses.
        let many = (0..1000_u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]));
        assert_eq!(many.filter(|ip| limiter.admit(*ip, Duration::from_secs(101))).count(), 41);
        let mut free = Limiter::new(0);
        assert_eq!(flood(&mut free, one, 1), 1000);
    }
}
