//! Stanzas that nobody will acknowledge, for as long as the transport does not have them on the other side.

use std::collections::VecDeque;
use std::mem;

use wello_wire::stanza::Stanza;

/// How far the bytes of a connection have come, counted from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Handed to the transport.
    pub written: u64,
    /// Of these, sent at least once.
    pub sent: u64,
    /// Of these, received by the transport of the other side.
    pub received: u64,
    /// The connection has not ended yet.
    pub is_open: bool,
}

/// What has not arrived when a connection ends.
#[derive(Debug, Default)]
pub struct Stranded {
    /// Whether these have arrived is not known.
    pub unknown: Vec<Stanza>,
    /// Nothing of these was ever sent.
    pub unsent: Vec<Stanza>,
}

impl Stranded {
    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.unsent.is_empty()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Transit {
    /// In the output.
    boarding: Vec<Stanza>,
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Nothing before this place of the connection is in transit.
    cleared: u64,
    progress: Option<Progress>,
}

/// What was written at once.
#[derive(Debug)]
struct Batch {
    end: u64,
    stanzas: Vec<Stanza>,
    bytes: usize,
}

impl Transit {
    pub fn push(&mut self, stanza: Stanza) {
        self.boarding.push(stanza);
    }

    /// The output has been written to the connection. `progress`: as it is now, if it can be told.
    pub fn handle_written(&mut self, progress: Option<Progress>) {
        match progress {
            Some(progress) if !self.boarding.is_empty() => {
                let stanzas = mem::take(&mut self.boarding);
                let bytes = stanzas.iter().map(Stanza::weight).sum();
                self.bytes += bytes;
                self.batches.push_back(Batch { end: progress.written, stanzas, bytes });
            }
            Some(progress) if self.batches.is_empty() => self.cleared = progress.written,
            Some(_) => {}
            None => self.boarding.clear(),
        }
        self.handle_progress(progress);
    }

    pub fn handle_progress(&mut self, progress: Option<Progress>) {
        let Some(progress) = progress else { return };
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.end <= progress.received) {
            self.bytes -= batch.bytes;
            self.cleared = batch.end;
        }
        self.progress = Some(progress);
    }

    /// Weight of what was written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes whenever the other side has got more.
    pub fn mark(&self) -> u64 {
        self.progress.map_or(0, |progress| progress.received)
    }

    /// A batch of which the first byte was sent may have arrived whole: acknowledgements get lost, too.
    pub fn end(&mut self) -> Stranded {
        let sent = self.progress.map_or(u64::MAX, |progress| progress.sent);
        let Transit { boarding, batches, mut cleared, .. } = mem::take(self);
        let mut stranded = Stranded::default();
        let last = Batch { end: u64::MAX, stanzas: boarding, bytes: 0 };
        for batch in batches.into_iter().chain([last]) {
            match sent <= cleared {
                true => stranded.unsent.extend(batch.stanzas),
                false => stranded.unknown.extend(batch.stanzas),
            }
            cleared = batch.end;
        }
        stranded
    }

    pub fn release_temporaries(&mut self) {
        self.boarding.shrink_to_fit();
        self.batches.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::stanza::MessageType;

    use super::*;

    fn at(written: u64, sent: u64, received: u64) -> Option<Progress> {
        Some(Progress { written, sent, received, is_open: true })
    }

    fn push(transit: &mut Transit, id: &str) {
        let mut stanza = Stanza::message(MessageType::Chat);
        stanza.id = Some(id.into());
        transit.push(stanza);
    }

    fn ids(stanzas: &[Stanza]) -> Vec<&str> {
        stanzas.iter().map(|stanza| stanza.id.as_deref().unwrap()).collect()
    }

    fn end(mut transit: Transit) -> (String, String) {
        let stranded = transit.end();
        assert_eq!((transit.bytes(), transit.end().unknown.len()), (0, 0));
        (ids(&stranded.unknown).join(" "), ids(&stranded.unsent).join(" "))
    }

    /// After a handshake of a hundred bytes, "a b" ends at 200, "c" at 300, "d" at 400, and "e" is not written.
    fn loaded() -> Transit {
        let mut transit = Transit::default();
        transit.handle_written(at(100, 100, 90));
        push(&mut transit, "a");
        push(&mut transit, "b");
        transit.handle_written(at(200, 200, 100));
        push(&mut transit, "c");
        transit.handle_written(at(300, 200, 100));
        push(&mut transit, "d");
        transit.handle_written(at(400, 200, 100));
        push(&mut transit, "e");
        transit
    }

    #[test]
    fn what_was_never_sent_is_told_from_what_may_have_arrived() {
        for (sent, received, unknown, unsent) in [
            (200, 100, "a b", "c d e"),
            (200, 199, "a b", "c d e"),
            (200, 200, "", "c d e"),
            (201, 200, "c", "d e"),
            (400, 250, "c d", "e"),
            (400, 400, "", "e"),
            (401, 400, "e", ""),
        ] {
            let mut transit = loaded();
            transit.handle_progress(at(500, sent, received));
            assert_eq!(end(transit), (unknown.to_owned(), unsent.to_owned()), "{sent} {received}");
        }
    }

    #[test]
    fn what_has_arrived_is_held_no_longer() {
        let mut transit = loaded();
        let all = transit.bytes();
        transit.handle_progress(at(500, 400, 299));
        assert!(transit.bytes() < all && transit.bytes() > 0);
        transit.handle_progress(at(500, 400, 400));
        assert_eq!((transit.bytes(), transit.mark()), (0, 400));
    }

    #[test]
    fn a_handshake_alone_is_no_reason_to_return_anything() {
        let mut transit = Transit::default();
        transit.handle_written(at(100, 100, 0));
        push(&mut transit, "a");
        assert_eq!(end(transit), (String::new(), "a".to_owned()));
    }

    #[test]
    fn where_the_transport_tells_nothing_only_what_was_not_written_is_known() {
        let mut transit = Transit::default();
        push(&mut transit, "a");
        transit.handle_written(None);
        push(&mut transit, "b");
        assert_eq!(end(transit), ("b".to_owned(), String::new()));
    }
}
