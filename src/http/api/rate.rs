//! Requests by address, in windows of a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use wello_store::Timestamp;

/// Requests of one address in a window: people log in, programs refresh.
pub(super) const MAX: u32 = 30;
const WINDOW_SECONDS: i64 = 60;
/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 50_000;

#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<IpAddr, Window>>);

struct Window {
    since: Timestamp,
    count: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub allowed: bool,
    pub remaining: u32,
    /// Until all requests are allowed again.
    pub reset_seconds: i64,
}

impl Rates {
    pub(crate) fn take(&self, address: IpAddr, now: Timestamp) -> Verdict {
        let length = WINDOW_SECONDS * 1_000_000;
        let is_open = |window: &Window| now < window.since.plus_micros(length);
        let mut windows = self.0.lock();
        if windows.len() >= MAX_ADDRESSES {
            windows.retain(|_, window| is_open(window));
            if windows.len() >= MAX_ADDRESSES {
                windows.clear();
            }
        }
        let window = windows.entry(network(address)).or_insert(Window { since: now, count: 0 });
        if !is_open(window) {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        let left = window.since.plus_micros(length).as_micros() - now.as_micros();
        Verdict {
            allowed: window.count <= MAX,
            remaining: MAX.saturating_sub(window.count),
            reset_seconds: left.max(0).div_euclid(1_000_000) + 1,
        }
    }
}

/// The part of an address that one client surely has: a whole /64 in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64)),
        v4 => v4,
    }
}
