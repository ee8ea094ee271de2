//! Devices that sent presence to an account that is no contact of theirs: they are subscribed to
//! its open nodes as long as that lasts (XEP-0060, section 9.1.3).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_wire::jid::{BareJid, FullJid};

#[derive(Default)]
pub(crate) struct Sharers {
    /// By the account that they sent it to. Who has taken it back is found out when they are
    /// looked for.
    known: Mutex<HashMap<BareJid, HashSet<FullJid>>>,
}

/// Accounts that are remembered before all are forgotten, and devices of each.
const MAX_ACCOUNTS: usize = 10_000;
const MAX_DEVICES: usize = 1000;

impl Sharers {
    pub(crate) fn note(&self, account: &BareJid, device: &FullJid) {
        let mut known = self.known.lock();
        if known.len() >= MAX_ACCOUNTS && !known.contains_key(account) {
            known.clear();
        }
        let devices = known.entry(account.clone()).or_default();
        if devices.len() < MAX_DEVICES {
            devices.insert(device.clone());
        }
    }

    /// Those that are still there and still share it.
    pub(crate) fn of(&self, kernel: &Kernel, account: &BareJid) -> Vec<Arc<Session>> {
        let mut known = self.known.lock();
        let Some(devices) = known.get_mut(account) else { return Vec::new() };
        let mut found = Vec::new();
        devices.retain(|device| {
            let session = kernel.sessions.find(device);
            let session = session.filter(|one| one.has_directed_below(account.as_str()));
            found.extend(session.clone());
            session.is_some()
        });
        if devices.is_empty() {
            known.remove(account);
        }
        found
    }
}
