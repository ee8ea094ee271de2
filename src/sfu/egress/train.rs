//! Datagrams that leave in one go.

use crate::egress::Path;
use crate::egress::srtp::SealError;
use crate::peer::{Outgoing, Transport};

/// What UDP segmentation of the system takes.
pub const MAX_SEGMENTS: usize = 64;
const MAX_OCTETS: usize = 60 * 1024;

/// To one client, all of one size but for the last one, which may be shorter.
pub struct Train {
    contents: Vec<u8>,
    segment: usize,
    count: usize,
    most: usize,
}

impl Train {
    pub fn new(transport: Transport) -> Train {
        let most = if transport == Transport::Udp { MAX_SEGMENTS } else { 1 };
        Train { contents: Vec::new(), segment: 0, count: 0, most }
    }

    /// Whether it has room for a datagram of this length.
    pub fn takes(&self, length: usize) -> bool {
        self.count == 0
            || (self.count < self.most
                && length <= self.segment
                && self.contents.len() + length <= MAX_OCTETS)
    }

    /// There are so many more of about this length.
    pub fn expect(&mut self, length: usize, more: usize) {
        if self.count == 0 {
            self.contents.reserve((length * self.most.min(more + 1)).min(MAX_OCTETS));
        }
    }

    /// A datagram that is written at its end. What cannot be sealed is left out.
    pub fn take(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SealError>) {
        let before = self.contents.len();
        if let Err(error) = write(&mut self.contents) {
            tracing::debug!(%error, "a packet is not sent");
            return;
        }
        let length = self.contents.len() - before;
        if self.count == 0 {
            self.segment = length;
        }
        self.count += 1;
        if length < self.segment {
            self.most = self.count;
        }
    }

    /// The same for one of another kind than the others, which is not coupled to any; `false` when
    /// there are some.
    pub fn take_alone(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), SealError>,
    ) -> bool {
        let is_empty = self.count == 0;
        if is_empty {
            self.take(write);
            self.most = self.count;
        }
        is_empty
    }

    /// `None` when it is empty.
    pub fn leave(self, path: Path) -> Option<Outgoing> {
        let Path { transport, source, destination } = path;
        let Train { contents, segment, count, .. } = self;
        (count > 0).then_some(Outgoing { transport, source, destination, contents, segment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn couple(train: &mut Train, length: usize) -> bool {
        let takes = train.takes(length);
        if takes {
            train.take(|to| grow(to, length));
        }
        takes
    }

    #[expect(clippy::unnecessary_wraps, reason = "as sealing is")]
    fn grow(to: &mut Vec<u8>, length: usize) -> Result<(), SealError> {
        to.resize(to.len() + length, 0);
        Ok(())
    }

    #[test]
    fn all_are_of_one_size_but_the_last() {
        let mut train = Train::new(Transport::Udp);
        assert!(couple(&mut train, 100) && couple(&mut train, 100));
        assert!(!couple(&mut train, 101));
        assert!(couple(&mut train, 50));
        assert!(!couple(&mut train, 50));
        assert_eq!((train.contents.len(), train.segment), (250, 100));
    }

    #[test]
    fn it_is_no_longer_than_the_system_takes() {
        let mut train = Train::new(Transport::Udp);
        assert_eq!((0..1000).filter(|_| couple(&mut train, 100)).count(), MAX_SEGMENTS);
        let mut train = Train::new(Transport::Udp);
        assert_eq!((0..1000).filter(|_| couple(&mut train, 1200)).count(), MAX_OCTETS / 1200);
        let mut train = Train::new(Transport::Tcp);
        assert!(couple(&mut train, 100) && !couple(&mut train, 100));
    }

    #[test]
    fn reports_travel_alone() {
        let mut train = Train::new(Transport::Udp);
        assert!(train.take_alone(|to| grow(to, 1)));
        assert!(!couple(&mut train, 1));
        let mut train = Train::new(Transport::Udp);
        assert!(couple(&mut train, 1) && !train.take_alone(|to| grow(to, 1)));
    }
}
