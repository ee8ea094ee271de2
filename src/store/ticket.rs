use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::StoreError;

/// What became of a batch: the entries that failed, by their place in it, or one error for all.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written { failed: Vec<(usize, StoreError)> },
    Lost(StoreError),
}

/// Shared by everyone who waits for one batch.
#[derive(Debug, Default)]
pub(crate) struct BatchState {
    outcome: OnceLock<Outcome>,
    done: Notify,
}

impl BatchState {
    pub(crate) fn resolve(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_ok() {
            self.done.notify_waiters();
        }
    }
}

/// Tells when an appended entry is on stable storage. Tickets of one store are done in the order in
/// which they were given out.
#[derive(Debug, Clone)]
pub struct Ticket {
    batch: Arc<BatchState>,
    place: usize,
}

impl Ticket {
    pub(crate) fn new(batch: Arc<BatchState>, place: usize) -> Self {
        Self { batch, place }
    }

    /// Whether the entry is written, or has failed.
    pub fn is_done(&self) -> bool {
        self.batch.outcome.get().is_some()
    }

    /// What became of the entry; `None` while it is not known.
    pub fn result(&self) -> Option<Result<(), StoreError>> {
        self.batch.outcome.get().map(|outcome| match outcome {
            Outcome::Lost(error) => Err(error.clone()),
            Outcome::Written { failed } => failed
                .iter()
                .find(|(place, _)| *place == self.place)
                .map_or(Ok(()), |(_, error)| Err(error.clone())),
        })
    }

    /// Waits until the entry is on stable storage. May be dropped and called again.
    pub async fn wait(&self) -> Result<(), StoreError> {
        loop {
            let notified = self.batch.done.notified();
            tokio::pin!(notified);
            // Registers before looking, so that a batch resolved in between is not missed.
            notified.as_mut().enable();
            if let Some(result) = self.result() {
                return result;
            }
            notified.await;
        }
    }
}
