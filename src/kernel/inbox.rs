//! The mailbox of a connection task, bounded in bytes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use wello_stream::sm::StreamManagement;
use wello_wire::stanza::Stanza;

use crate::sessions::EndReason;

/// What others may ask of a connection task.
#[derive(Debug)]
pub enum Delivery {
    Stanza(Stanza),
    /// Close with the stream error of that reason.
    End(EndReason),
    /// Give the stream's state to the connection that resumes the session (XEP-0198, section 5),
    /// once everything handled is on stable storage.
    HandOver(oneshot::Sender<StreamManagement>),
}

/// More waits for the session than it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Deliveries in order. Posting never waits; the reader is woken.
pub struct Inbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    /// Rings when the session is to end, so that a task that is stuck in writing notices.
    ending: Notify,
    max_bytes: usize,
}

/// Deliveries that an empty queue keeps room for.
const KEPT_ROOM: usize = 4;

#[derive(Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    closed: bool,
}

impl Inbox {
    pub fn new(max_bytes: usize) -> Inbox {
        Inbox { queue: Mutex::default(), arrived: Notify::new(), ending: Notify::new(), max_bytes }
    }

    /// Posts a stanza unless the bound is reached or the session has ended.
    pub fn post(&self, stanza: Stanza) -> Result<(), Full> {
        let weight = stanza.weight();
        {
            let mut queue = self.queue.lock();
            if queue.closed || queue.bytes + weight > self.max_bytes {
                return Err(Full);
            }
            queue.bytes += weight;
            queue.deliveries.push_back(Delivery::Stanza(stanza));
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Posts an answer to the session's own request. Not refused at the bound, because the
    /// session sends no further request before it has taken its answers.
    pub fn reply(&self, stanza: Stanza) {
        {
            let mut queue = self.queue.lock();
            if queue.closed {
                return;
            }
            queue.bytes += stanza.weight();
            queue.deliveries.push_back(Delivery::Stanza(stanza));
        }
        self.arrived.notify_one();
    }

    /// Posts an instruction. `false` when the session has ended.
    pub fn instruct(&self, instruction: Delivery) -> bool {
        {
            let mut queue = self.queue.lock();
            if queue.closed {
                return false;
            }
            if matches!(instruction, Delivery::End(_)) {
                self.ending.notify_one();
            }
            queue.deliveries.push_back(instruction);
        }
        self.arrived.notify_one();
        true
    }

    /// The next delivery, if there is one.
    pub fn take(&self) -> Option<Delivery> {
        let mut queue = self.queue.lock();
        let delivery = queue.deliveries.pop_front()?;
        if let Delivery::Stanza(stanza) = &delivery {
            queue.bytes -= stanza.weight();
        }
        if queue.deliveries.is_empty() {
            queue.deliveries.shrink_to(KEPT_ROOM);
        }
        Some(delivery)
    }

    /// Waits until something may be there. Spurious wake-ups happen.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Waits until the session is told to end or hand over.
    pub async fn ending(&self) {
        self.ending.notified().await;
    }

    pub fn is_empty(&self) -> bool {
        self.queue.lock().deliveries.is_empty()
    }

    /// Refuses everything from now on and returns what was not taken.
    pub fn close(&self) -> Vec<Delivery> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.bytes = 0;
        queue.deliveries.drain(..).collect()
    }
}
