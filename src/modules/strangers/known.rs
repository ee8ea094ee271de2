//! Whom accounts know, in memory: the store is not asked for each message of a contact.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;

#[derive(Default)]
pub(crate) struct Known {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    peers: HashMap<Box<str>, HashSet<Box<str>>>,
    /// Of all accounts.
    count: usize,
    /// Counts what was forgotten, so that what was read before is not kept after it.
    changes: u64,
}

/// Pairs that are remembered before all are forgotten; some 100 bytes each.
const MAX_PAIRS: usize = 200_000;

impl Known {
    /// `Err` when the store has to be asked.
    pub(crate) fn look(&self, account: &str, peer: &str) -> Result<(), u64> {
        let state = self.state.read();
        match state.peers.get(account).is_some_and(|peers| peers.contains(peer)) {
            true => Ok(()),
            false => Err(state.changes),
        }
    }

    /// Keeps what was read when `changes` had been counted.
    pub(crate) fn keep(&self, account: &str, peer: &str, changes: u64) {
        let mut state = self.state.write();
        if state.changes != changes {
            return;
        }
        if state.count >= MAX_PAIRS {
            state.peers.clear();
            state.count = 0;
        }
        let added = state.peers.entry(account.into()).or_default().insert(peer.into());
        state.count += usize::from(added);
    }

    /// Somebody may be known no more. Call it after the change.
    pub(crate) fn forget(&self, account: &str) {
        let mut state = self.state.write();
        state.changes += 1;
        let peers = state.peers.remove(account).unwrap_or_default();
        state.count -= peers.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let known = Known::default();
        let changes = known.look("a@b", "c@d").unwrap_err();
        known.forget("a@b");
        known.keep("a@b", "c@d", changes);
        let changes = known.look("a@b", "c@d").unwrap_err();
        known.keep("a@b", "c@d", changes);
        assert_eq!(known.look("a@b", "c@d"), Ok(()));
        assert!(known.look("c@d", "a@b").is_err());
        known.forget("a@b");
        assert!(known.look("a@b", "c@d").is_err());
        assert_eq!(known.state.read().count, 0);
    }
}
