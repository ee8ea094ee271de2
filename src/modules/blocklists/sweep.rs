//! Who gets onto a list while being in a room is put out of it.

use std::collections::HashSet;
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::blocklist::Rules;
use wello_store::Role;
use wello_wire::jid::BareJid;

use super::Blocklists;
use super::policy::{self, Concern};

/// What everybody in the room is told.
const REASON: &str = "This server does not let them into its rooms.";

impl Blocklists {
    /// Looks at all rooms once, whatever has changed: lists change seldom, and many changes at once cost one look.
    pub(super) async fn sweep(&self, kernel: &Arc<Kernel>) {
        for room in self.muc.rooms_in_use() {
            let unwanted = self.unwanted(kernel, self.muc.accounts_in(&room)).await;
            if !unwanted.is_empty() {
                tracing::info!(%room, count = unwanted.len(), "put out of a room, listed since");
                self.muc.expel(kernel, &room, &unwanted, REASON).await;
            }
            // Hashes of a large room take a while.
            tokio::task::yield_now().await;
        }
    }

    async fn unwanted(&self, kernel: &Kernel, accounts: Vec<BareJid>) -> HashSet<BareJid> {
        let rules = kernel.blocklist.rules();
        let mut unwanted = HashSet::new();
        for account in accounts {
            if self.is_unwanted(kernel, &rules, &account).await {
                unwanted.insert(account);
            }
        }
        unwanted
    }

    /// Whether somebody would not be let in now.
    async fn is_unwanted(&self, kernel: &Kernel, rules: &Rules, account: &BareJid) -> bool {
        policy::is_blocked(kernel, rules, account)
            || (self.is_listed(Concern::Room, account)
                && kernel.role_of(account).await != Some(Role::Admin))
    }
}
