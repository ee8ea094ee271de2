//! Block lists in memory, because every stanza asks for two of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use wello_kernel::Kernel;
use wello_store::StoreError;

use super::list::BlockList;

/// The lists of accounts that sent or got something lately.
pub(super) struct Cache {
    state: RwLock<State>,
    /// Shared by all who block nobody.
    empty: Arc<BlockList>,
}

#[derive(Default)]
struct State {
    lists: HashMap<Box<str>, Arc<BlockList>>,
    bytes: usize,
    /// Counts the changes, so that what was read before a change is not kept after it.
    changes: u64,
}

/// Bytes of lists that are kept before all are forgotten.
const MAX_BYTES: usize = 32 * 1024 * 1024;

impl Default for Cache {
    fn default() -> Cache {
        Cache { state: RwLock::default(), empty: Arc::new(BlockList::default()) }
    }
}

impl Cache {
    /// The account's list; from memory it costs a reference count.
    pub(super) async fn load(
        &self,
        kernel: &Kernel,
        account: &str,
    ) -> Result<Arc<BlockList>, StoreError> {
        let changes = {
            let state = self.state.read();
            if let Some(list) = state.lists.get(account) {
                return Ok(Arc::clone(list));
            }
            state.changes
        };
        let jids = kernel.store.blocking.list(account).await?;
        Ok(self.keep(account, BlockList::new(jids), changes))
    }

    /// Whether the account blocks an address; `None` when its list is not in memory.
    pub(super) fn blocks(&self, account: &str, jid: &wello_wire::jid::Jid) -> Option<bool> {
        self.state.read().lists.get(account).map(|list| list.blocks(jid))
    }

    /// Must be called after every change, before its answer.
    pub(super) fn forget(&self, account: &str) {
        let mut state = self.state.write();
        state.changes += 1;
        if let Some(list) = state.lists.remove(account) {
            state.bytes = state.bytes.saturating_sub(weight(account, &list));
        }
    }

    /// Keeps what was read when `changes` had been counted, unless there were more since.
    fn keep(&self, account: &str, list: BlockList, changes: u64) -> Arc<BlockList> {
        let list = if list.len() == 0 { Arc::clone(&self.empty) } else { Arc::new(list) };
        let mut state = self.state.write();
        if state.changes != changes || state.lists.contains_key(account) {
            return list;
        }
        let weight = weight(account, &list);
        if state.bytes + weight > MAX_BYTES {
            state.lists.clear();
            state.bytes = 0;
        }
        state.bytes += weight;
        state.lists.insert(account.into(), Arc::clone(&list));
        list
    }
}

fn weight(account: &str, list: &BlockList) -> usize {
    account.len() + 64 + list.weight()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(jids: usize) -> BlockList {
        BlockList::new((0..jids).map(|n| format!("{n}@{}", "x".repeat(1000))))
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = Cache::default();
        cache.forget("a@b");
        cache.keep("a@b", list(1), 0);
        assert!(cache.state.read().lists.is_empty());
        cache.keep("a@b", list(1), 1);
        assert_eq!(cache.state.read().lists.len(), 1);
        cache.forget("a@b");
        assert!(cache.state.read().lists.is_empty());
        assert_eq!(cache.state.read().bytes, 0);
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let cache = Cache::default();
        for n in 0..100 {
            cache.keep(&format!("{n}@b"), list(1000), 0);
            assert!(cache.state.read().bytes <= MAX_BYTES);
        }
        let state = cache.state.read();
        assert!(state.lists.len() < 100);
        let held: usize = state.lists.iter().map(|(account, list)| weight(account, list)).sum();
        assert_eq!(state.bytes, held);
    }
}
