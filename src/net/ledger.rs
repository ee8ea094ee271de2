//! What the sender of a managed stream is told that was handled (XEP-0198): what is on stable storage.

use std::collections::VecDeque;

use wello_store::{StoreError, Ticket};

/// Stanzas of one stream that are counted but not on stable storage, and questions about them.
#[derive(Default)]
pub(crate) struct Ledger {
    unsettled: VecDeque<Unsettled>,
    /// What was handled when it was asked for, without an answer yet.
    asked: VecDeque<u32>,
}

struct Unsettled {
    ticket: Ticket,
    /// The stanzas that are handled up to and with this one.
    handled: u32,
}

impl Ledger {
    /// The stanza that was handled as number `handled` is not acknowledged before the ticket is done.
    pub(crate) fn remember(&mut self, ticket: Ticket, handled: u32) {
        self.unsettled.push_back(Unsettled { ticket, handled });
    }

    /// The sender asks what was handled. It is answered when all that it has sent so far is durable.
    pub(crate) fn ask(&mut self, handled: u32) {
        if self.asked.back() != Some(&handled) {
            self.asked.push_back(handled);
        }
    }

    /// The answer to the questions whose time has come, `handled` stanzas having been handled. A sender
    /// that never pauses is answered, too: what it sent after its question does not hold the answer up.
    pub(crate) fn settle(&mut self, handled: u32) -> Result<Option<u32>, StoreError> {
        while let Some(result) = self.unsettled.front().and_then(|first| first.ticket.result()) {
            self.unsettled.pop_front();
            result?;
        }
        let durable = self.unsettled.front().map_or(handled, |first| first.handled.wrapping_sub(1));
        let before = self.asked.len();
        while self.asked.front().is_some_and(|asked| is_reached(*asked, durable)) {
            self.asked.pop_front();
        }
        Ok((self.asked.len() < before).then_some(durable))
    }

    /// What the oldest question waits for. May be dropped and called again.
    pub(crate) async fn progress(&self) {
        match self.unsettled.front().filter(|_| !self.asked.is_empty()) {
            // What became of it is seen by `settle`.
            Some(unsettled) => drop(unsettled.ticket.wait().await),
            None => std::future::pending().await,
        }
    }

    /// Waits until everything that was handled is on stable storage; `false` when it cannot be.
    pub(crate) async fn settled(&mut self) -> bool {
        let mut settled = true;
        while let Some(Unsettled { ticket, .. }) = self.unsettled.pop_front() {
            settled &= ticket.wait().await.is_ok();
        }
        settled
    }
}

/// Whether a count that goes on at 0 after 2^32 - 1 (section 4) has come to `asked`.
fn is_reached(asked: u32, durable: u32) -> bool {
    durable.wrapping_sub(asked) <= u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_wrap_around() {
        assert!(is_reached(5, 5) && is_reached(5, 6) && !is_reached(5, 4));
        assert!(is_reached(u32::MAX, 0) && is_reached(u32::MAX, u32::MAX));
        assert!(!is_reached(0, u32::MAX) && !is_reached(1, 0));
    }

    #[test]
    fn what_needs_no_storage_is_told_at_once_and_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.settle(3).unwrap(), None, "nobody asked");
        ledger.ask(3);
        assert_eq!(ledger.settle(4).unwrap(), Some(4));
        assert_eq!(ledger.settle(4).unwrap(), None);
    }
}
