//! Which streams there are with other servers.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wello_kernel::links::{Direction, Link};
use wello_stream::s2s::Pair;

/// Those that carry stanzas, and how many of each kind.
#[derive(Default)]
pub struct Links {
    table: Mutex<HashMap<Link, usize>>,
}

/// A stream, for as long as it is there.
pub struct Linked {
    links: Arc<Links>,
    link: Link,
}

impl Links {
    /// Another server sends on a stream that it has opened.
    pub fn incoming(self: &Arc<Self>, pair: &Pair, bidi: bool) -> Linked {
        let direction = if bidi { Direction::Both } else { Direction::Incoming };
        self.add(&pair.reversed(), direction)
    }

    /// We send on one of our own.
    pub fn outgoing(self: &Arc<Self>, pair: &Pair, bidi: bool) -> Linked {
        let direction = if bidi { Direction::Both } else { Direction::Outgoing };
        self.add(pair, direction)
    }

    /// `pair`: as we send.
    fn add(self: &Arc<Self>, pair: &Pair, direction: Direction) -> Linked {
        let (ours, theirs) = (pair.from.as_str().to_owned(), pair.to.as_str().to_owned());
        let link = Link { ours, theirs, direction };
        *self.table.lock().entry(link.clone()).or_default() += 1;
        Linked { links: Arc::clone(self), link }
    }

    /// Each stream once.
    pub fn list(&self) -> Vec<Link> {
        let table = self.table.lock();
        let links = table.iter().flat_map(|(link, streams)| std::iter::repeat_n(link, *streams));
        links.cloned().collect()
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        let mut table = self.links.table.lock();
        if let Some(streams) = table.get_mut(&self.link) {
            *streams -= 1;
            if *streams == 0 {
                table.remove(&self.link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wello_stream::s2s::Domain;

    use super::*;

    #[test]
    fn each_stream_is_there_until_it_ends() {
        let links: Arc<Links> = Arc::default();
        let domain = |name| Domain::parse(name).unwrap();
        let pair = Pair { from: domain("a.example"), to: domain("b.example") };
        let own = links.outgoing(&pair, false);
        let theirs = [(); 2].map(|()| links.incoming(&pair.reversed(), false));
        let both = links.incoming(&pair.reversed(), true);
        let mut listed = links.list();
        listed.sort();
        assert!(listed.iter().all(|link| link.ours == "a.example" && link.theirs == "b.example"));
        let directions: Vec<Direction> = listed.iter().map(|link| link.direction).collect();
        let (incoming, outgoing) = (Direction::Incoming, Direction::Outgoing);
        assert_eq!(directions, [incoming, incoming, outgoing, Direction::Both]);
        drop((own, both));
        assert_eq!(links.list().len(), 2);
        drop(theirs);
        assert!(links.list().is_empty() && links.table.lock().is_empty());
    }
}
