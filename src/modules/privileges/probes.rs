//! Asks contacts elsewhere whether they are there, for components that connect after these have told (section 8).
//!
//! Once for each host, in the names of its accounts (RFC 6121, section 4.3): whoever has been asked tells every
//! change from then on, and that is remembered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wello_kernel::Kernel;
use wello_kernel::hooks::Chore;
use wello_store::{AccountFilter, RosterItem, StoreError};
use wello_wire::jid::BareJid;
use wello_wire::stanza::{PresenceType, Stanza};

use super::Privileges;
use super::presence::is_seen;

/// Which hosts there is somebody to ask for.
#[derive(Default)]
pub(super) struct Probes {
    hosts: Mutex<Hosts>,
    wanted: Notify,
}

#[derive(Default)]
struct Hosts {
    /// Their contacts have been asked, or will be.
    begun: HashSet<BareJid>,
    waiting: Vec<BareJid>,
}

/// After each probe: other servers, and streams to them, are not to be flooded.
const PAUSE: Duration = Duration::from_millis(20);
/// Accounts read at once.
const PAGE: u32 = 200;
/// More contacts of one host are not asked, as their answers would not be remembered either.
const MAX_CONTACTS: usize = 50_000;

impl Probes {
    /// Lets the contacts of a host be asked, unless they were.
    pub(super) fn want(&self, host: &BareJid) {
        let mut hosts = self.hosts.lock();
        if hosts.begun.insert(host.clone()) {
            hosts.waiting.push(host.clone());
            self.wanted.notify_one();
        }
    }

    async fn next(&self) -> BareJid {
        loop {
            let next = self.hosts.lock().waiting.pop();
            match next {
                Some(host) => return host,
                None => self.wanted.notified().await,
            }
        }
    }
}

pub(super) struct Probing(pub(super) Arc<Privileges>);

#[async_trait]
impl Chore for Probing {
    fn first_run(&self) -> Duration {
        Duration::ZERO
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Rests until a component has come that is to know.
    async fn run(&self, kernel: &Arc<Kernel>) {
        let host = self.0.probes.next().await;
        match self.0.probe(kernel, &host).await {
            Ok(count) => tracing::info!(%host, count, "contacts probed for components"),
            Err(error) => tracing::error!(%host, %error, "contacts not probed for components"),
        }
    }
}

impl Privileges {
    /// Probes each contact elsewhere once, whoever's it is, but those who have told already. Returns how many.
    async fn probe(&self, kernel: &Arc<Kernel>, host: &BareJid) -> Result<usize, StoreError> {
        let mut known = self.audience.contacts_of(host);
        let known_before = known.len();
        let filter = AccountFilter { domain: Some(host.to_string()), ..AccountFilter::default() };
        let mut after: Option<String> = None;
        loop {
            let page = kernel.store.accounts.list(&filter, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.jid());
            for account in page.iter().filter_map(|account| account.jid().parse().ok()) {
                probe_contacts(kernel, &account, &mut known).await?;
            }
        }
        Ok(known.len() - known_before)
    }
}

/// Probes the contacts of an account that are not known yet.
async fn probe_contacts(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    known: &mut HashSet<BareJid>,
) -> Result<(), StoreError> {
    let roster = kernel.store.roster.load(account.as_str()).await?;
    let seen = roster.items.iter().filter(|item| is_seen(item));
    let contact = |item: &RosterItem| item.jid.parse::<BareJid>().ok();
    for contact in seen.filter_map(contact).filter(|contact| !kernel.is_ours(contact)) {
        if known.len() < MAX_CONTACTS && known.insert(contact.clone()) {
            let probe = Stanza::presence(PresenceType::Probe);
            kernel.route(probe.with_from(account.clone()).with_to(contact)).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}
