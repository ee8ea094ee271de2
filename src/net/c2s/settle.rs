//! Acknowledgements (XEP-0198): the client is told what is on stable storage, and is asked what it has.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;
use wello_store::Ticket;
use wello_stream::sm::StreamManagement;
use wello_wire::error::{StreamCondition, StreamError};

use super::task::{End, Task};

/// Between two questions for what nobody keeps. Each costs both sides as much as a short message, so a lively room is
/// not acknowledged line by line.
const REQUEST_PAUSE: Duration = Duration::from_millis(500);

impl Task {
    /// The stanza that was just handled is not acknowledged before this is done.
    pub(super) fn remember(&mut self, ticket: Ticket) {
        let handled = self.handled();
        self.ledger.remember(ticket, handled);
    }

    /// The client asks what was handled.
    pub(super) fn handle_request(&mut self) {
        let handled = self.handled();
        self.ledger.ask(handled);
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

    /// Answers the client's questions whose time has come.
    pub(super) fn settle(&mut self) -> ControlFlow<End> {
        let handled = self.handled();
        match self.ledger.settle(handled) {
            Ok(None) => {}
            Ok(Some(durable)) => self.c2s.acknowledge(durable),
            Err(error) => {
                tracing::error!(%error, "a message could not be stored, ending the session");
                if let Some(established) = self.c2s.established() {
                    established.forget();
                }
                self.c2s.fail(&StreamError::new(StreamCondition::InternalServerError));
                return ControlFlow::Break(End::Closed);
            }
        }
        ControlFlow::Continue(())
    }

    /// What the client has sent under stream management.
    fn handled(&mut self) -> u32 {
        let management = self.c2s.established().and_then(|established| established.management());
        management.map_or(0, StreamManagement::handled)
    }
}
