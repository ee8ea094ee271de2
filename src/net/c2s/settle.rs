//! Acknowledgements (XEP-0198): the client is told what is on stable storage, and is asked what it has.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;
use wello_store::Ticket;
use wello_stream::sm::StreamManagement;
use wello_wire::error::{StreamCondition, StreamError};

use super::task::{End, Task};

/// What must be on stable storage before the client is told that it was handled.
pub(super) struct Unsettled {
    pub(super) ticket: Ticket,
    /// The stanzas that are handled up to and with this one (XEP-0198).
    handled: u32,
}

/// Between two questions for what nobody keeps. Each costs both sides as much as a short message, so a lively room is
/// not acknowledged line by line.
const REQUEST_PAUSE: Duration = Duration::from_millis(500);

impl Task {
    /// The stanza that was just handled is not acknowledged before this is done.
    pub(super) fn remember(&mut self, ticket: Ticket) {
        let handled = self.handled().unwrap_or_default();
        self.unsettled.push_back(Unsettled { ticket, handled });
    }

    /// The client asks what was handled. It is answered when all that it has sent so far is durable.
    pub(super) fn handle_request(&mut self) {
        let Some(handled) = self.handled() else { return };
        if self.asked.back() != Some(&handled) {
            self.asked.push_back(handled);
        }
    }

    /// Asks the client for an acknowledgement, if it is time; `idle`: nothing more is to be sent now.
    pub(super) fn request_acknowledgement(&mut self, idle: bool) {
        let now = Instant::now();
        let paused = self.next_request <= now || self.is_behind();
        if self.c2s.request_acknowledgement(idle, paused) {
            self.next_request = now + REQUEST_PAUSE;
        }
    }

    /// When there is something to do even if nothing happens.
    pub(super) fn wake(&mut self) -> Instant {
        let sent = self.c2s.established().and_then(|established| established.management());
        match sent.is_some_and(StreamManagement::has_unrequested) {
            true => self.deadline.min(self.next_request),
            false => self.deadline,
        }
    }

    /// Answers the questions whose time has come. A client that never pauses is answered, too:
    /// what it sent after its question does not hold the answer up.
    pub(super) fn settle(&mut self) -> ControlFlow<End> {
        while let Some(result) = self.unsettled.front().and_then(|first| first.ticket.result()) {
            self.unsettled.pop_front();
            if let Err(error) = result {
                tracing::error!(%error, "a message could not be stored, ending the session");
                if let Some(established) = self.c2s.established() {
                    established.forget();
                }
                self.c2s.fail(&StreamError::new(StreamCondition::InternalServerError));
                return ControlFlow::Break(End::Closed);
            }
        }
        if self.asked.is_empty() {
            return ControlFlow::Continue(());
        }
        let Some(handled) = self.handled() else { return ControlFlow::Continue(()) };
        let durable = self.unsettled.front().map_or(handled, |first| first.handled.wrapping_sub(1));
        let before = self.asked.len();
        while self.asked.front().is_some_and(|asked| is_reached(*asked, durable)) {
            self.asked.pop_front();
        }
        if self.asked.len() < before {
            self.c2s.acknowledge(durable);
        }
        ControlFlow::Continue(())
    }

    /// What the client has sent under stream management.
    fn handled(&mut self) -> Option<u32> {
        self.c2s.established()?.management().map(StreamManagement::handled)
    }

    /// Waits until everything that was handled is on stable storage; `false` when it cannot be.
    pub(super) async fn wait_settled(&mut self) -> bool {
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
    use super::is_reached;

    #[test]
    fn counts_wrap_around() {
        assert!(is_reached(5, 5) && is_reached(5, 6) && !is_reached(5, 4));
        assert!(is_reached(u32::MAX, 0) && is_reached(u32::MAX, u32::MAX));
        assert!(!is_reached(0, u32::MAX) && !is_reached(1, 0));
    }
}
