//! Accounts that the service itself wants in none of its rooms any more.

use std::collections::HashSet;
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_wire::jid::BareJid;

use super::Muc;
use super::room::{Effects, Room};

impl Muc {
    /// The rooms that somebody may be in now.
    pub(crate) fn rooms_in_use(&self) -> Vec<BareJid> {
        self.rooms.all().iter().map(|live| live.state.lock().room.jid.clone()).collect()
    }

    /// The accounts that are in a room now.
    pub(crate) fn accounts_in(&self, room: &BareJid) -> Vec<BareJid> {
        let Some(live) = self.rooms.get(room.as_str()) else { return Vec::new() };
        let state = live.state.lock();
        state.room.occupants().map(|occupant| occupant.account.clone()).collect()
    }

    /// Puts accounts out of a room as those that are banned are (XEP-0045, section 9.1). Its list of outcasts
    /// stays as its admins have made it.
    pub(crate) async fn expel(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        accounts: &HashSet<BareJid>,
        reason: &str,
    ) {
        let Some(live) = self.rooms.get(room.as_str()) else { return };
        let mut expel = |room: &mut Room, fx: &mut Effects| {
            room.expel(accounts, reason, fx);
            Ok(())
        };
        // Nobody is in a room that has ended meanwhile.
        self.run_on(kernel, &live, None, &mut expel).await;
    }
}
