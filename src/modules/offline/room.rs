//! How much room accounts have left for messages that wait, without asking the store each time.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use wello_kernel::config::Offline as Limits;
use wello_store::{OfflineUsage, Timestamp};

/// What waits for accounts, at most: what is admitted counts, what is removed by age does not
/// count back.
#[derive(Default)]
pub struct Room {
    known: Mutex<HashMap<Box<str>, Known>>,
}

struct Known {
    usage: OfflineUsage,
    read: Timestamp,
}

/// A full account is looked at again after this time: old messages may have been removed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Accounts that are remembered before all are forgotten.
const MAX_KNOWN: usize = 10_000;

impl Room {
    /// Counts one more message of `size` bytes if it may wait. `None` when the usage has to be
    /// read first.
    pub fn admit(&self, account: &str, size: u64, limits: &Limits, now: Timestamp) -> Option<bool> {
        let mut known = self.known.lock();
        let known = known.get_mut(account)?;
        if has_room(known.usage, limits, size) {
            known.usage.messages += 1;
            known.usage.bytes += size;
            return Some(true);
        }
        (now.since(known.read) < LOOK_AGAIN).then_some(false)
    }

    /// Takes what was read at `now`. What was counted meanwhile may not be in it.
    pub fn note(&self, account: &str, usage: OfflineUsage, now: Timestamp) {
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let fresh = |known: &Known| now.since(known.read) < LOOK_AGAIN;
        if !known.get(account).is_some_and(fresh) {
            known.insert(account.into(), Known { usage, read: now });
        }
    }

    /// Messages have been removed.
    pub fn forget(&self, account: &str) {
        self.known.lock().remove(account);
    }
}

/// Whether one more message of `size` bytes may wait.
fn has_room(usage: OfflineUsage, limits: &Limits, size: u64) -> bool {
    usage.messages < limits.messages && usage.bytes.saturating_add(size) <= limits.bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { enabled: true, messages: 2, bytes: 100 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn what_waits_is_bounded_in_messages_and_bytes() {
        let room =
            |messages, bytes, size| has_room(OfflineUsage { messages, bytes }, &LIMITS, size);
        assert!(room(0, 0, 100) && room(1, 60, 40));
        assert!(!room(0, 0, 101) && !room(1, 60, 41) && !room(2, 0, 1));
    }

    #[test]
    fn the_store_is_asked_once_while_there_is_room() {
        let room = Room::default();
        let admit = |seconds| room.admit("a@b", 30, &LIMITS, at(seconds));
        assert_eq!(admit(0), None);
        room.note("a@b", OfflineUsage::default(), at(0));
        assert_eq!([admit(1), admit(1), admit(1)], [Some(true), Some(true), Some(false)]);
        // A second reader that was slow does not make room.
        room.note("a@b", OfflineUsage::default(), at(2));
        assert_eq!(admit(2), Some(false));
        assert_eq!(admit(60), None);
        room.note("a@b", OfflineUsage { messages: 1, bytes: 30 }, at(60));
        assert_eq!([admit(60), admit(60)], [Some(true), Some(false)]);
        room.forget("a@b");
        assert_eq!(admit(61), None);
    }
}
