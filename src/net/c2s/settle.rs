//! What the client is told that was handled (XEP-0198): what is on stable storage.

use std::ops::ControlFlow;

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

impl Task {
    /// The stanza that was just handled is not acknowledged before this is done.
    pub(super) fn remember(&mut self, ticket: Ticket) {
        let handled = self.handled().unwrap_or_default();
        self.unsettled.push_back(Unsettled { ticket, handled });
    }

    /// Acknowledges what is durable, if the client waits for it: everything, or the part that the
    /// last commit brought, so that a client that never pauses is answered, too.
    pub(super) fn settle(&mut self) -> ControlFlow<End> {
        let mut durable = None;
        while let Some(first) = self.unsettled.front() {
            match first.ticket.result() {
                None => break,
                Some(Ok(())) => {
                    durable = Some(first.handled);
                    self.unsettled.pop_front();
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "a message could not be stored, ending the session");
                    if let Some(established) = self.c2s.established() {
                        established.forget();
                    }
                    self.c2s.fail(&StreamError::new(StreamCondition::InternalServerError));
                    return ControlFlow::Break(End::Closed);
                }
            }
        }
        if !self.acknowledge {
            return ControlFlow::Continue(());
        }
        if self.unsettled.is_empty() {
            self.acknowledge = false;
            durable = self.handled();
        }
        if let Some(handled) = durable {
            self.c2s.acknowledge(handled);
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
