//! Stream management (XEP-0198 1.6.3): counters and the queue of what the peer has not
//! acknowledged. Plain data: it outlives its connection and moves to the next one.

mod nonza;

use std::collections::VecDeque;

use compact_str::CompactString;
use thiserror::Error;
use wello_wire::stanza::{Kind, MessageType, Stanza, StoredCopy};

pub(crate) use nonza::{
    Resumption, acknowledgement, enabled, failed, handled_count, has_resumption, resume, resumed,
};

/// The server's half of a managed stream.
#[derive(Debug)]
pub struct StreamManagement {
    id: CompactString,
    /// Whether the client asked for resumption.
    resumable: bool,
    /// Stanzas handled from the client, modulo 2^32.
    handled: u32,
    /// Stanzas that the client acknowledged, modulo 2^32.
    acknowledged: u32,
    unacknowledged: VecDeque<Stanza>,
    queued_bytes: usize,
    /// Stanzas sent since the last `<r/>`.
    since_request: u32,
    /// Whether one of them would be sent again at the next login if the stream ended now.
    urgent: bool,
    /// Stored copies of what the client has acknowledged.
    delivered: Vec<StoredCopy>,
}

/// The peer acknowledged more than was sent (XEP-0198, section 4).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{h} stanzas acknowledged but only {sent} sent")]
pub struct HandledCountTooHigh {
    pub h: u32,
    pub sent: u32,
}

impl StreamManagement {
    /// An acknowledgement is asked for after this many stanzas at the latest.
    const REQUEST_EVERY: u32 = 16;

    pub fn new(id: CompactString, resumable: bool) -> StreamManagement {
        StreamManagement {
            id,
            resumable,
            handled: 0,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            queued_bytes: 0,
            since_request: 0,
            urgent: false,
            delivered: Vec::new(),
        }
    }

    /// Rebuilds what a clean restart kept.
    pub fn restore(
        id: CompactString,
        handled: u32,
        acknowledged: u32,
        unacknowledged: impl IntoIterator<Item = Stanza>,
    ) -> StreamManagement {
        let mut restored = StreamManagement::new(id, true);
        restored.handled = handled;
        restored.acknowledged = acknowledged;
        for stanza in unacknowledged {
            restored.push(stanza);
        }
        restored
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_resumable(&self) -> bool {
        self.resumable
    }

    pub fn handled(&self) -> u32 {
        self.handled
    }

    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// Bytes held for the client, to be compared with the session's bound.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub fn unacknowledged(&self) -> impl Iterator<Item = &Stanza> {
        self.unacknowledged.iter()
    }

    /// Counts one stanza from the client.
    pub fn handle_stanza(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// Keeps one stanza for the client until it is acknowledged.
    pub fn push(&mut self, stanza: Stanza) {
        self.queued_bytes += stanza.weight();
        self.since_request += 1;
        self.urgent |= is_kept(&stanza);
        self.unacknowledged.push_back(stanza);
    }

    /// Whether an `<r/>` should go out now. `idle`: everything pending has been written; `paused`: the last one is some
    /// time ago. A client that closes its stream without having been asked gets what is kept for it twice, so that is
    /// asked for at once.
    pub fn wants_acknowledgement(&mut self, idle: bool, paused: bool) -> bool {
        let wanted = self.urgent || (paused && self.since_request > 0);
        let due = self.since_request >= Self::REQUEST_EVERY || (idle && wanted);
        if due {
            self.since_request = 0;
            self.urgent = false;
        }
        due
    }

    /// Whether something was sent since an acknowledgement was last asked for.
    pub fn has_unrequested(&self) -> bool {
        self.since_request > 0
    }

    /// Drops what the client says it has handled; returns how many stanzas that were.
    pub fn handle_acknowledgement(&mut self, h: u32) -> Result<usize, HandledCountTooHigh> {
        let newly = h.wrapping_sub(self.acknowledged) as usize;
        if newly > self.unacknowledged.len() {
            return Err(HandledCountTooHigh { h, sent: self.sent() });
        }
        self.acknowledged = h;
        for stanza in self.unacknowledged.drain(..newly) {
            self.queued_bytes -= stanza.weight();
            self.delivered.extend(stanza.stored);
        }
        if self.unacknowledged.is_empty() {
            self.unacknowledged.shrink_to(32);
        }
        Ok(newly)
    }

    /// Stored copies of what the client has acknowledged since the last call.
    pub fn take_delivered(&mut self) -> Vec<StoredCopy> {
        std::mem::take(&mut self.delivered)
    }

    /// What is left when the session ends for good.
    pub fn into_unacknowledged(self) -> impl Iterator<Item = Stanza> {
        self.unacknowledged.into_iter()
    }

    fn sent(&self) -> u32 {
        // The queue's length never nears 2^32: it is bounded in bytes.
        self.acknowledged.wrapping_add(self.unacknowledged.len() as u32)
    }
}

/// Whether the stanza is kept for the account's next login when this stream ends before it is acknowledged.
fn is_kept(stanza: &Stanza) -> bool {
    stanza.kind == Kind::Message
        && matches!(stanza.message_type(), MessageType::Chat | MessageType::Normal)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn managed(stanzas: u32) -> StreamManagement {
        let mut sm = StreamManagement::new("x".into(), true);
        (0..stanzas).for_each(|_| sm.push(Stanza::message(MessageType::Chat)));
        sm
    }

    #[test]
    fn acknowledged_stanzas_leave_the_queue() {
        let mut sm = managed(5);
        assert_eq!(sm.handle_acknowledgement(3), Ok(3));
        assert_eq!(sm.unacknowledged().count(), 2);
        assert_eq!(sm.handle_acknowledgement(3), Ok(0));
        assert_eq!(sm.handle_acknowledgement(5), Ok(2));
        assert_eq!(sm.queued_bytes(), 0);
    }

    #[test]
    fn stored_copies_are_named_when_their_stanzas_are_acknowledged() {
        let stored = |number| {
            let mut stanza = Stanza::message(MessageType::Chat);
            stanza.stored = Some(StoredCopy(number));
            stanza
        };
        let mut sm = managed(1);
        sm.push(stored(7));
        sm.push(stored(8));
        sm.handle_acknowledgement(2).unwrap();
        assert_eq!(sm.take_delivered(), [StoredCopy(7)]);
        assert_eq!(sm.take_delivered(), []);
        sm.handle_acknowledgement(3).unwrap();
        assert_eq!(sm.take_delivered(), [StoredCopy(8)]);
    }

    #[test]
    fn too_much_and_going_back_are_refused() {
        let mut sm = managed(5);
        sm.handle_acknowledgement(3).unwrap();
        assert_eq!(sm.handle_acknowledgement(6), Err(HandledCountTooHigh { h: 6, sent: 5 }));
        assert_eq!(sm.handle_acknowledgement(2), Err(HandledCountTooHigh { h: 2, sent: 5 }));
        assert_eq!(sm.handle_acknowledgement(u32::MAX).unwrap_err().sent, 5);
    }

    #[test]
    fn counters_wrap() {
        let stanzas = (0..4).map(|_| Stanza::message(MessageType::Chat));
        let mut sm = StreamManagement::restore("x".into(), u32::MAX, u32::MAX - 1, stanzas);
        sm.handle_stanza();
        assert_eq!(sm.handled(), 0);
        assert_eq!(sm.handle_acknowledgement(1), Ok(3));
        assert_eq!(sm.unacknowledged().count(), 1);
    }

    #[test]
    fn what_is_kept_is_asked_for_when_idle() {
        let mut sm = managed(1);
        assert!(!sm.wants_acknowledgement(false, true));
        assert!(sm.wants_acknowledgement(true, false));
        assert!(!sm.wants_acknowledgement(true, true));
    }

    #[test]
    fn what_nobody_keeps_is_asked_for_after_a_pause_or_every_so_often() {
        let mut sm = managed(0);
        let line = || Stanza::message(MessageType::Groupchat);
        sm.push(line());
        assert!(!sm.wants_acknowledgement(true, false));
        assert!(sm.has_unrequested());
        assert!(sm.wants_acknowledgement(true, true));
        assert!(!sm.has_unrequested());
        (0..StreamManagement::REQUEST_EVERY).for_each(|_| sm.push(line()));
        assert!(sm.wants_acknowledgement(false, false));
    }
}
