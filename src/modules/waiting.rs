//! Requests that are held until somebody else has answered, bounded in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wello_wire::error::StanzaError;
use wello_wire::stanza::Stanza;

/// The room that a kind of requests has.
pub(crate) struct Waiting {
    bytes: Arc<Semaphore>,
}

/// Held by all of them together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// What each costs beside its stanza: a task, and a question that waits for its answer.
const OVERHEAD: usize = 4 * 1024;

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { bytes: Arc::new(Semaphore::new(MAX_BYTES)) }
    }
}

impl Waiting {
    /// Takes the room that a request needs until the permit is dropped.
    pub(crate) fn admit(&self, request: &Stanza) -> Result<OwnedSemaphorePermit, StanzaError> {
        let bytes = u32::try_from(OVERHEAD + request.weight()).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes)
            .try_acquire_many_owned(bytes)
            .map_err(|_| StanzaError::resource_constraint("too many requests wait for answers"))
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;
    use wello_wire::stanza::IqType;
    use wello_wire::xml::Element;

    use super::*;

    fn request(bytes: usize) -> Stanza {
        let query = Element::new("query", "urn:x").with_text("x".repeat(bytes));
        Stanza::iq(IqType::Get, "1").with_child(query)
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes() {
        let waiting = Waiting::default();
        let large = request(256 * 1024);
        let mut held: Vec<_> = std::iter::from_fn(|| waiting.admit(&large).ok()).collect();
        assert!((60..=64).contains(&held.len()), "{}", held.len());
        let refused = waiting.admit(&large).unwrap_err();
        assert_eq!(refused.condition, Condition::ResourceConstraint);
        held.pop();
        assert!(waiting.admit(&large).is_ok(), "the room is given back");
    }

    #[test]
    fn small_ones_are_bounded_in_number() {
        let waiting = Waiting::default();
        let held: Vec<_> = std::iter::from_fn(|| waiting.admit(&request(0)).ok()).collect();
        assert!(held.len() < MAX_BYTES / OVERHEAD);
    }
}
