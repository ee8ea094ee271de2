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
    deliveries: VecDeque<Queued>,
    /// Of what others posted, and of the answers to the session's own requests.
    posted_bytes: usize,
    answer_bytes: usize,
    /// Deliveries that are no stanzas.
    instructions: usize,
    closed: bool,
}

struct Queued {
    delivery: Delivery,
    is_answer: bool,
}

impl Queue {
    fn push(&mut self, delivery: Delivery, is_answer: bool) {
        match (&delivery, is_answer) {
            (Delivery::Stanza(stanza), true) => self.answer_bytes += stanza.weight(),
            (Delivery::Stanza(stanza), false) => self.posted_bytes += stanza.weight(),
            (Delivery::End(_) | Delivery::HandOver(_), _) => self.instructions += 1,
        }
        self.deliveries.push_back(Queued { delivery, is_answer });
    }

    fn release(&mut self, queued: Queued) -> Delivery {
        match (&queued.delivery, queued.is_answer) {
            (Delivery::Stanza(stanza), true) => self.answer_bytes -= stanza.weight(),
            (Delivery::Stanza(stanza), false) => self.posted_bytes -= stanza.weight(),
            (Delivery::End(_) | Delivery::HandOver(_), _) => self.instructions -= 1,
        }
        if self.deliveries.is_empty() {
            self.deliveries.shrink_to(KEPT_ROOM);
        }
        queued.delivery
    }
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
            if queue.closed || queue.posted_bytes + weight > self.max_bytes {
                return Err(Full);
            }
            queue.push(Delivery::Stanza(stanza), false);
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Posts an answer to the session's own request. Neither refused at the bound nor counted
    /// towards it: whoever enters a big room gets more at once than others may leave here. The
    /// connection task looks at [`Inbox::answer_bytes`].
    pub fn reply(&self, stanza: Stanza) {
        {
            let mut queue = self.queue.lock();
            if queue.closed {
                return;
            }
            queue.push(Delivery::Stanza(stanza), true);
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
            queue.push(instruction, false);
        }
        self.arrived.notify_one();
        true
    }

    /// The next delivery, if there is one.
    pub fn take(&self) -> Option<Delivery> {
        let mut queue = self.queue.lock();
        let queued = queue.deliveries.pop_front()?;
        Some(queue.release(queued))
    }

    /// The next delivery that is no stanza, for a session that cannot take stanzas now.
    pub fn take_instruction(&self) -> Option<Delivery> {
        let mut queue = self.queue.lock();
        if queue.instructions == 0 {
            return None;
        }
        let is_instruction = |queued: &Queued| !matches!(queued.delivery, Delivery::Stanza(_));
        let place = queue.deliveries.iter().position(is_instruction)?;
        let queued = queue.deliveries.remove(place)?;
        Some(queue.release(queued))
    }

    /// Bytes of answers that the session has not taken.
    pub fn answer_bytes(&self) -> usize {
        self.queue.lock().answer_bytes
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
        let deliveries = std::mem::take(&mut queue.deliveries);
        *queue = Queue { closed: true, ..Queue::default() };
        deliveries.into_iter().map(|queued| queued.delivery).collect()
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::stanza::MessageType;

    use super::*;

    fn message() -> Stanza {
        Stanza::message(MessageType::Chat)
    }

    #[test]
    fn answers_leave_room_for_what_others_post() {
        let inbox = Inbox::new(2 * message().weight());
        for _ in 0..10 {
            inbox.reply(message());
        }
        assert_eq!(inbox.answer_bytes(), 10 * message().weight());
        assert_eq!((inbox.post(message()), inbox.post(message())), (Ok(()), Ok(())));
        assert_eq!(inbox.post(message()), Err(Full));
        while inbox.take().is_some() {}
        assert_eq!(inbox.answer_bytes(), 0);
        assert_eq!(inbox.post(message()), Ok(()));
    }

    #[test]
    fn an_instruction_can_pass_what_waits_before_it() {
        let inbox = Inbox::new(usize::MAX);
        inbox.reply(message());
        assert!(inbox.take_instruction().is_none());
        inbox.instruct(Delivery::End(EndReason::Kicked));
        inbox.reply(message());
        assert!(matches!(inbox.take_instruction(), Some(Delivery::End(EndReason::Kicked))));
        assert!(inbox.take_instruction().is_none());
        assert_eq!(inbox.close().len(), 2);
        assert_eq!(inbox.answer_bytes(), 0);
    }
}
