//! Devices of other servers that an account sees: they are told of what happens at its nodes as
//! those of its own server are (XEP-0163, section 4).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::payload::caps::Caps;
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use super::PubSub;
use super::notify;
use crate::caps;

/// What devices elsewhere said that they can do, by the account that they sent their presence to.
#[derive(Default)]
pub(crate) struct Elsewhere {
    seen: Mutex<HashMap<BareJid, HashMap<FullJid, Caps>>>,
}

/// Accounts that are remembered before all are forgotten, and devices of each.
const MAX_ACCOUNTS: usize = 50_000;
const MAX_DEVICES: usize = 2000;

impl Elsewhere {
    /// Whether this is news.
    fn note(&self, account: &BareJid, device: &FullJid, caps: &Caps) -> bool {
        let mut seen = self.seen.lock();
        if seen.len() >= MAX_ACCOUNTS && !seen.contains_key(account) {
            seen.clear();
        }
        let devices = seen.entry(account.clone()).or_default();
        if devices.get(device) == Some(caps) {
            return false;
        }
        let room = devices.len() < MAX_DEVICES || devices.contains_key(device);
        if room {
            devices.insert(device.clone(), caps.clone());
        }
        room
    }

    fn forget(&self, account: &BareJid, device: &FullJid) {
        let mut seen = self.seen.lock();
        if let Some(devices) = seen.get_mut(account) {
            devices.remove(device);
            if devices.is_empty() {
                seen.remove(account);
            }
        }
    }

    /// Those of one contact, or of all.
    pub(super) fn of(&self, account: &BareJid, contact: &BareJid) -> Vec<(FullJid, Caps)> {
        let seen = self.seen.lock();
        let devices = seen.get(account).into_iter().flatten();
        let theirs = devices.filter(|(device, _)| device.bare_str() == contact.as_str());
        theirs.map(|(device, caps)| (device.clone(), caps.clone())).collect()
    }
}

impl PubSub {
    /// Presence on its way from another server to an account here.
    pub(super) async fn handle_presence_from_elsewhere(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
    ) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let is_account = to.local().is_some() && kernel.hosts.contains(to.domain());
        if stanza.kind != Kind::Presence || !is_account || kernel.is_ours(from) {
            return;
        }
        let Ok(device) = FullJid::try_from(from.clone()) else { return };
        let account = to.bare();
        match stanza.presence_type() {
            Some(PresenceType::Available) => {}
            Some(PresenceType::Unavailable | PresenceType::Error) => {
                return self.elsewhere.forget(&account, &device);
            }
            _ => return,
        }
        let Some(caps) = caps::announced(stanza) else { return };
        if !self.elsewhere.note(&account, &device, &caps) {
            return;
        }
        let (kernel, all) = (Arc::clone(kernel), self.caps.clone());
        let Some(learning) = all.learn_from_elsewhere(&kernel, &account, &device, &caps) else {
            return;
        };
        let serve = async move {
            let Some(info) = learning.await else { return };
            let wanted = notify::interests(&info).map(str::to_owned).collect();
            let open_only = !kernel.is_subscriber(&account, &device.bare()).await;
            let to: Jid = device.clone().into();
            let sent = notify::send_last_items_to(&kernel, &account, &to, &wanted, open_only);
            if let Err(refusal) = sent.await {
                tracing::error!(%account, %device, ?refusal, "last items not sent");
            }
        };
        // The answer comes through the task that waits for this hook.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(serve);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_already_is_no_news() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let account = jid("romeo@a").bare();
        let device = FullJid::try_from(jid("juliet@b/x")).unwrap();
        let caps = |ver: &str| Caps { node: "n".into(), ver: ver.into(), hash: None };
        let seen = Elsewhere::default();
        assert!(seen.note(&account, &device, &caps("1")));
        assert!(!seen.note(&account, &device, &caps("1")));
        assert!(seen.note(&account, &device, &caps("2")));
        assert_eq!(seen.of(&account, &device.bare()).len(), 1);
        assert!(seen.of(&account, &account).is_empty());
        seen.forget(&account, &device);
        assert!(seen.of(&account, &device.bare()).is_empty());
        assert!(seen.note(&account, &device, &caps("2")));
    }
}
