//! Accounts that are known to have no push service, so that the store is not asked for each message to
//! somebody who is away.

use std::collections::HashSet;

use parking_lot::Mutex;

#[derive(Default)]
pub(super) struct Silent {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: HashSet<Box<str>>,
    /// Counts what was enabled: a list that was read before says nothing any more.
    enabled: u64,
}

/// Tells when a look into the store began.
#[derive(Clone, Copy)]
pub(super) struct Look(u64);

/// Accounts that are remembered before all are forgotten.
const MAX_ACCOUNTS: usize = 50_000;

impl Silent {
    /// `None` when there is no need to look.
    pub(super) fn begin(&self, account: &str) -> Option<Look> {
        let state = self.state.lock();
        (!state.accounts.contains(account)).then_some(Look(state.enabled))
    }

    pub(super) fn is_silent(&self, account: &str) -> bool {
        self.state.lock().accounts.contains(account)
    }

    /// The look found nothing.
    pub(super) fn note(&self, account: &str, look: Look) {
        let mut state = self.state.lock();
        if state.enabled != look.0 {
            return;
        }
        if state.accounts.len() >= MAX_ACCOUNTS {
            state.accounts.clear();
        }
        state.accounts.insert(account.into());
    }

    /// A service has been stored.
    pub(super) fn forget(&self, account: &str) {
        let mut state = self.state.lock();
        state.enabled += 1;
        state.accounts.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_enables_is_never_taken_for_silent() {
        let silent = Silent::default();
        let look = silent.begin("a@b").unwrap();
        silent.note("a@b", look);
        assert!(silent.begin("a@b").is_none() && silent.begin("c@d").is_some());
        silent.forget("a@b");
        // What was read before it was enabled comes late.
        silent.note("a@b", look);
        assert!(silent.begin("a@b").is_some());
    }
}
