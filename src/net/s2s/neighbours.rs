//! Other servers: how many streams each has opened, by domain and by address, and how fast a domain sends on all of
//! its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use wello_kernel::config::{Rate, S2s};
use wello_stream::s2s::Domain;

use crate::ip_network::IpNetwork;
use crate::shaper::Shaper;

/// Those that have a stream to us.
pub struct Neighbours {
    table: Mutex<Table>,
    max_of_domain: usize,
    max_from_address: usize,
    rate: Rate,
}

#[derive(Default)]
struct Table {
    domains: HashMap<Domain, Neighbour>,
    /// Streams that have proved a domain. Whoever has a name with a wildcard has domains without number.
    addresses: HashMap<IpNetwork, usize>,
}

struct Neighbour {
    streams: usize,
    shaper: Arc<Mutex<Shaper>>,
}

/// Why there is no room for a stream.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TooMany {
    #[error("too many streams of your domain")]
    OfDomain,
    #[error("too many streams from your address")]
    FromAddress,
}

/// A stream that a domain has proved its own, for as long as it is there.
struct Visit {
    neighbours: Arc<Neighbours>,
    domain: Domain,
    address: IpNetwork,
    shaper: Arc<Mutex<Shaper>>,
}

impl Neighbours {
    pub fn new(config: &S2s) -> Arc<Neighbours> {
        Arc::new(Neighbours {
            table: Mutex::default(),
            max_of_domain: config.connections_per_domain,
            max_from_address: config.connections_per_address,
            rate: config.rate(),
        })
    }

    /// One more stream.
    fn visit(self: &Arc<Self>, domain: &Domain, address: IpAddr) -> Result<Visit, TooMany> {
        let address = IpNetwork::of_subscriber(address);
        let mut table = self.table.lock();
        let Table { domains, addresses } = &mut *table;
        if addresses.get(&address).is_some_and(|streams| *streams >= self.max_from_address) {
            return Err(TooMany::FromAddress);
        }
        let new = || {
            let shaper = Arc::new(Mutex::new(Shaper::new(self.rate, Instant::now())));
            Neighbour { streams: 0, shaper }
        };
        let neighbour = domains.entry(domain.clone()).or_insert_with(new);
        if neighbour.streams >= self.max_of_domain {
            return Err(TooMany::OfDomain);
        }
        neighbour.streams += 1;
        *addresses.entry(address).or_insert(0) += 1;
        let shaper = Arc::clone(&neighbour.shaper);
        Ok(Visit { neighbours: Arc::clone(self), domain: domain.clone(), address, shaper })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut table = self.neighbours.table.lock();
        leave(&mut table.domains, &self.domain, |neighbour| &mut neighbour.streams);
        leave(&mut table.addresses, &self.address, |streams| streams);
    }
}

/// Counts one stream less, and forgets who has none.
fn leave<K: Eq + Hash, V>(
    table: &mut HashMap<K, V>,
    key: &K,
    count: impl Fn(&mut V) -> &mut usize,
) {
    if let Some(value) = table.get_mut(key) {
        let streams = count(value);
        *streams -= 1;
        if *streams == 0 {
            table.remove(key);
        }
    }
}

/// How fast a stream is read: on its own until a domain has proved itself on it, then with all others of that
/// domain.
pub struct Pace {
    own: Shaper,
    visit: Option<Visit>,
}

impl Pace {
    pub fn new(rate: Rate) -> Pace {
        Pace { own: Shaper::new(rate, Instant::now()), visit: None }
    }

    /// The stream is of this domain from now on, if it is not of another already.
    pub fn join(
        &mut self,
        neighbours: &Arc<Neighbours>,
        domain: &Domain,
        address: IpAddr,
    ) -> Result<(), TooMany> {
        if self.visit.is_none() {
            self.visit = Some(neighbours.visit(domain, address)?);
        }
        Ok(())
    }

    /// Counts what was read.
    pub fn count(&mut self, bytes: usize) {
        let now = Instant::now();
        match &self.visit {
            Some(visit) => visit.shaper.lock().count(bytes, now),
            None => self.own.count(bytes, now),
        }
    }

    /// Waits until more may be read. May be dropped and called again.
    pub async fn ready(&self) {
        // Another stream of the domain may have read meanwhile.
        while let Some(resumes) = self.resumes().filter(|at| *at > Instant::now()) {
            // Few streams ever wait for this, and all carry the size of their wait.
            Box::pin(sleep_until(resumes)).await;
        }
    }

    fn resumes(&self) -> Option<Instant> {
        match &self.visit {
            Some(visit) => visit.shaper.lock().resumes(),
            None => self.own.resumes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { bytes_per_second: 1000, burst_bytes: 1000 };

    fn neighbours(
        connections_per_domain: usize,
        connections_per_address: usize,
    ) -> Arc<Neighbours> {
        let Rate { bytes_per_second, burst_bytes } = RATE;
        Neighbours::new(&S2s {
            connections_per_domain,
            connections_per_address,
            rate_bytes_per_second: bytes_per_second,
            burst_bytes,
            ..S2s::default()
        })
    }

    fn join(
        neighbours: &Arc<Neighbours>,
        pace: &mut Pace,
        to: (&str, &str),
    ) -> Result<(), TooMany> {
        let (domain, address) = to;
        pace.join(neighbours, &Domain::parse(domain).unwrap(), address.parse().unwrap())
    }

    /// A stream that has a place.
    fn stream(neighbours: &Arc<Neighbours>, domain: &str, address: &str) -> Pace {
        let mut pace = Pace::new(RATE);
        join(neighbours, &mut pace, (domain, address)).unwrap();
        pace
    }

    fn refusal(neighbours: &Arc<Neighbours>, domain: &str, address: &str) -> TooMany {
        join(neighbours, &mut Pace::new(RATE), (domain, address)).unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn all_streams_of_a_domain_share_its_rate() {
        let neighbours = neighbours(2, 10);
        let mut first = stream(&neighbours, "a.example", "192.0.2.1");
        let mut second = stream(&neighbours, "a.example", "192.0.2.2");
        let mut other = stream(&neighbours, "b.example", "192.0.2.1");
        let begun = Instant::now();
        first.count(1000);
        first.ready().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the burst");
        // Each reads a second's worth: together that takes two.
        first.count(1000);
        second.count(1000);
        first.ready().await;
        second.ready().await;
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        let begun = Instant::now();
        other.count(1000);
        other.ready().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "it has nothing to do with them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_domain_has_so_many_streams() {
        let neighbours = neighbours(1, 10);
        let mut first = stream(&neighbours, "a.example", "192.0.2.1");
        let again = join(&neighbours, &mut first, ("c.example", "192.0.2.1"));
        assert!(again.is_ok(), "it counts for the first");
        assert_eq!(refusal(&neighbours, "a.example", "192.0.2.2"), TooMany::OfDomain);
        let _other = stream(&neighbours, "b.example", "192.0.2.1");
        drop(first);
        let _second = stream(&neighbours, "a.example", "192.0.2.2");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_so_many_streams_of_all_its_domains() {
        let neighbours = neighbours(10, 2);
        let first = stream(&neighbours, "a.example", "2001:db8::1");
        let second = stream(&neighbours, "b.example", "2001:db8::2");
        let third = |address| refusal(&neighbours, "c.example", address);
        assert_eq!(third("2001:db8::3"), TooMany::FromAddress, "the same /64");
        let elsewhere = stream(&neighbours, "c.example", "2001:db8:0:1::1");
        drop(first);
        let third = stream(&neighbours, "c.example", "2001:db8::3");
        drop((second, elsewhere, third));
        let table = neighbours.table.lock();
        assert!(table.domains.is_empty() && table.addresses.is_empty(), "nobody is remembered");
    }
}
