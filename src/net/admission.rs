//! How many connections there may be, in all and from one place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ip_network::IpNetwork;

/// Counts connections; shared by all listeners that share a limit.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    slots: Arc<Semaphore>,
    total: usize,
    per_subscriber: u32,
    subscribers: Mutex<HashMap<IpNetwork, u32>>,
    refused: AtomicU64,
}

/// A place for a connection that may be accepted.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Proof that a connection was counted; dropping it makes room.
pub struct ConnectionPermit {
    _slot: Slot,
    /// None: does not count against an address.
    subscriber: Mutex<Option<IpNetwork>>,
    admission: Admission,
}

impl Admission {
    /// At most `total` connections, and `per_subscriber` that have not logged in from one IPv4
    /// address or IPv6 /64.
    /// Loopback is exempt from the latter: a reverse proxy there stands for many.
    pub fn new(total: usize, per_subscriber: u32) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(total)),
            total,
            per_subscriber,
            subscribers: Mutex::default(),
            refused: AtomicU64::new(0),
        }))
    }

    /// Places taken: connections, and one for each listener that is ready for the next.
    pub fn taken(&self) -> usize {
        self.0.total - self.0.slots.available_permits()
    }

    /// Connections closed for the limit per address since the start.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Waits until there is room for one more.
    pub(crate) async fn slot(&self) -> Slot {
        let permit = Arc::clone(&self.0.slots).acquire_owned().await;
        // The semaphore is never closed.
        #[allow(clippy::expect_used)]
        Slot { _permit: permit.expect("open semaphore") }
    }

    /// None: there are too many from there already.
    pub(crate) fn admit(&self, slot: Slot, peer: IpAddr) -> Option<ConnectionPermit> {
        let exempt = peer.to_canonical().is_loopback();
        let subscriber = (!exempt).then(|| IpNetwork::of_subscriber(peer));
        if let Some(subscriber) = subscriber
            && !self.count(subscriber)
        {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(ConnectionPermit {
            _slot: slot,
            subscriber: Mutex::new(subscriber),
            admission: self.clone(),
        })
    }

    fn count(&self, subscriber: IpNetwork) -> bool {
        let mut subscribers = self.0.subscribers.lock();
        let count = subscribers.entry(subscriber).or_insert(0);
        let room = *count < self.0.per_subscriber;
        if room {
            *count += 1;
        } else if *count == 0 {
            subscribers.remove(&subscriber);
        }
        room
    }
}

impl ConnectionPermit {
    /// The peer has logged in: its connection counts no more against its address, only in all.
    /// Many users may share an address, and those who can log in are answerable for it.
    pub fn authenticated(&self) {
        let Some(subscriber) = self.subscriber.lock().take() else { return };
        let mut subscribers = self.admission.0.subscribers.lock();
        if let Some(count) = subscribers.get_mut(&subscriber) {
            *count -= 1;
            if *count == 0 {
                subscribers.remove(&subscriber);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.authenticated();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn admit(admission: &Admission, peer: &str) -> Option<ConnectionPermit> {
        let slot = admission.slot().now_or_never().expect("room");
        admission.admit(slot, peer.parse().unwrap())
    }

    #[test]
    fn per_subscriber() {
        let admission = Admission::new(100, 2);
        let first = admit(&admission, "192.0.2.1").unwrap();
        let _second = admit(&admission, "::ffff:192.0.2.1").unwrap();
        assert!(admit(&admission, "192.0.2.1").is_none());
        assert_eq!((admission.refused(), admission.taken()), (1, 2));
        let _neighbour = admit(&admission, "192.0.2.2").unwrap();
        drop(first);
        let _again = admit(&admission, "192.0.2.1").unwrap();

        let _a = admit(&admission, "2001:db8::1").unwrap();
        let _b = admit(&admission, "2001:db8::2").unwrap();
        assert!(admit(&admission, "2001:db8::3").is_none(), "same /64");
        assert!(admit(&admission, "2001:db8:0:1::1").is_some());

        let loopback: Vec<_> = (0..10).map(|_| admit(&admission, "127.0.0.1").unwrap()).collect();
        assert_eq!(loopback.len(), 10);
    }

    #[test]
    fn logged_in_peers_count_in_all_only() {
        let admission = Admission::new(100, 1);
        let first = admit(&admission, "192.0.2.1").unwrap();
        first.authenticated();
        let _second = admit(&admission, "192.0.2.1").unwrap();
        drop(first);
        assert!(admit(&admission, "192.0.2.1").is_none(), "counted down once");
        assert_eq!(admission.taken(), 1);
    }

    #[test]
    fn nothing_is_remembered_of_the_gone() {
        let admission = Admission::new(100, 2);
        drop(admit(&admission, "192.0.2.1"));
        assert!(admission.0.subscribers.lock().is_empty());
        let closed = Admission::new(100, 0);
        assert!(admit(&closed, "192.0.2.1").is_none());
        assert!(closed.0.subscribers.lock().is_empty());
        assert_eq!((admission.taken(), closed.taken()), (0, 0));
    }

    #[test]
    fn total() {
        let admission = Admission::new(1, 10);
        let permit = admit(&admission, "192.0.2.1");
        assert!(admission.slot().now_or_never().is_none());
        drop(permit);
        assert!(admission.slot().now_or_never().is_some());
    }
}
