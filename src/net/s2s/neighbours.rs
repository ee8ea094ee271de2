//! Other servers by domain: how many streams each has opened, and how fast it sends on all of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use wello_kernel::config::Rate;
use wello_stream::s2s::Domain;

use crate::shaper::Shaper;

/// Those that have a stream to us.
pub struct Neighbours {
    table: Mutex<HashMap<Domain, Neighbour>>,
    /// Of one domain.
    max_streams: usize,
    rate: Rate,
}

struct Neighbour {
    streams: usize,
    shaper: Arc<Mutex<Shaper>>,
}

/// A stream that a domain has proved its own, for as long as it is there.
struct Visit {
    neighbours: Arc<Neighbours>,
    domain: Domain,
    shaper: Arc<Mutex<Shaper>>,
}

impl Neighbours {
    pub fn new(max_streams: usize, rate: Rate) -> Arc<Neighbours> {
        Arc::new(Neighbours { table: Mutex::default(), max_streams, rate })
    }

    /// One more stream; `None` if there are too many.
    fn visit(self: &Arc<Self>, domain: &Domain) -> Option<Visit> {
        let mut table = self.table.lock();
        let new = || {
            let shaper = Arc::new(Mutex::new(Shaper::new(self.rate, Instant::now())));
            Neighbour { streams: 0, shaper }
        };
        let neighbour = table.entry(domain.clone()).or_insert_with(new);
        if neighbour.streams >= self.max_streams {
            return None;
        }
        neighbour.streams += 1;
        let shaper = Arc::clone(&neighbour.shaper);
        Some(Visit { neighbours: Arc::clone(self), domain: domain.clone(), shaper })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut table = self.neighbours.table.lock();
        if let Some(neighbour) = table.get_mut(&self.domain) {
            neighbour.streams -= 1;
            if neighbour.streams == 0 {
                table.remove(&self.domain);
            }
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

    /// The stream is of this domain from now on, if it is not of another already; `false` if that has too many.
    pub fn join(&mut self, neighbours: &Arc<Neighbours>, domain: &Domain) -> bool {
        if self.visit.is_none() {
            self.visit = neighbours.visit(domain);
        }
        self.visit.is_some()
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

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn all_streams_of_a_domain_share_its_rate() {
        let neighbours = Neighbours::new(2, RATE);
        let stream = |name: &str| {
            let mut pace = Pace::new(RATE);
            assert!(pace.join(&neighbours, &domain(name)));
            pace
        };
        let (mut first, mut second) = (stream("a.example"), stream("a.example"));
        let mut other = stream("b.example");
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
        let neighbours = Neighbours::new(1, RATE);
        let mut first = Pace::new(RATE);
        assert!(first.join(&neighbours, &domain("a.example")));
        assert!(first.join(&neighbours, &domain("c.example")), "it counts for the first");
        let mut second = Pace::new(RATE);
        assert!(!second.join(&neighbours, &domain("a.example")));
        assert!(Pace::new(RATE).join(&neighbours, &domain("b.example")));
        drop(first);
        assert!(second.join(&neighbours, &domain("a.example")));
        drop(second);
        assert!(neighbours.table.lock().is_empty());
    }
}
