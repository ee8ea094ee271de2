//! What waits to be written to a component.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wello_wire::error::StanzaError;
use wello_wire::stanza::Stanza;

/// Stanzas for one connection, bounded in bytes.
pub struct Queue {
    waiting: Mutex<(VecDeque<Stanza>, usize)>,
    arrived: Notify,
    max_bytes: usize,
}

impl Queue {
    pub fn new(max_bytes: usize) -> Queue {
        Queue { waiting: Mutex::default(), arrived: Notify::new(), max_bytes }
    }

    pub fn post(&self, stanza: Stanza) -> Result<(), StanzaError> {
        let mut waiting = self.waiting.lock();
        let (stanzas, bytes) = &mut *waiting;
        let weight = stanza.weight();
        if *bytes + weight > self.max_bytes {
            return Err(StanzaError::resource_constraint("this service does not keep up"));
        }
        *bytes += weight;
        stanzas.push_back(stanza);
        self.arrived.notify_one();
        Ok(())
    }

    /// Stanzas of up to `most` bytes, and at least one if there is one.
    pub fn take(&self, most: usize) -> Vec<Stanza> {
        let mut waiting = self.waiting.lock();
        let (stanzas, bytes) = &mut *waiting;
        let mut taken = Vec::new();
        let mut weight = 0;
        while weight < most
            && let Some(stanza) = stanzas.pop_front()
        {
            weight += stanza.weight();
            taken.push(stanza);
        }
        *bytes -= weight;
        taken
    }

    /// Waits until there is something. For one task.
    pub async fn filled(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;
    use wello_wire::stanza::MessageType;

    use super::*;

    #[test]
    fn the_bound_counts_bytes() {
        let message = || Stanza::message(MessageType::Chat);
        let queue = Queue::new(2 * message().weight());
        assert!(queue.post(message()).is_ok() && queue.post(message()).is_ok());
        let full = queue.post(message()).unwrap_err();
        assert_eq!(full.condition, Condition::ResourceConstraint);
        assert_eq!(queue.take(1).len(), 1);
        assert!(queue.post(message()).is_ok());
        assert_eq!(queue.take(usize::MAX).len(), 2);
        assert!(queue.is_empty());
    }
}
