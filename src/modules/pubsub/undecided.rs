//! Events for devices that are still being asked what they want (XEP-0115), of nodes whose last
//! item is not sent to who comes later (XEP-0402 demands that of bookmarks): nobody would tell
//! them again.

use std::collections::HashMap;

use parking_lot::Mutex;
use wello_kernel::sessions::SessionId;
use wello_wire::stanza::Stanza;

#[derive(Default)]
pub(crate) struct Undecided {
    held: Mutex<HashMap<SessionId, Vec<Held>>>,
}

/// An event, and the name of its node.
pub(crate) struct Held {
    pub(crate) node: String,
    pub(crate) event: Stanza,
}

/// Events that wait for one device; an answer takes a moment.
const MAX_HELD: usize = 16;

impl Undecided {
    pub(crate) fn hold(&self, session: SessionId, node: &str, event: Stanza) {
        let mut held = self.held.lock();
        let of_session = held.entry(session).or_default();
        if of_session.len() < MAX_HELD {
            of_session.push(Held { node: node.to_owned(), event });
        }
    }

    /// All that waits for a device; from now on nothing does.
    pub(crate) fn release(&self, session: SessionId) -> Vec<Held> {
        self.held.lock().remove(&session).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wello_wire::stanza::MessageType;

    #[test]
    fn what_waits_is_bounded_and_released_once() {
        let undecided = Undecided::default();
        for _ in 0..2 * MAX_HELD {
            undecided.hold(SessionId(1), "a", Stanza::message(MessageType::Headline));
        }
        assert!(undecided.release(SessionId(2)).is_empty());
        assert_eq!(undecided.release(SessionId(1)).len(), MAX_HELD);
        assert!(undecided.release(SessionId(1)).is_empty());
    }
}
