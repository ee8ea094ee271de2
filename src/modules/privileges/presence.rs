//! Who is there, for components that may know (section 7).

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::config::{Component, PresencePrivilege};
use wello_kernel::hooks::SessionEvents;
use wello_kernel::sessions::{Session, SessionId};
use wello_store::{RosterItem, Subscription};
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::stanza::{PresenceType, Stanza};

use super::Privileges;
use super::contacts::Contacts;

/// What components have been told, so that each is told once.
#[derive(Default)]
pub(super) struct Audience {
    /// Devices of accounts here that are available.
    sessions: Mutex<HashSet<SessionId>>,
    /// Contacts elsewhere.
    contacts: Mutex<Contacts>,
}

#[async_trait]
impl SessionEvents for Privileges {
    /// Section 7.1: initial presence, and no change of it.
    async fn available(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        let is_initial = self.audience.sessions.lock().insert(session.id);
        if let Some(presence) = session.presence().filter(|_| is_initial) {
            tell(kernel, &session.jid, &presence).await;
        }
    }

    async fn unavailable(&self, kernel: &Arc<Kernel>, session: &Arc<Session>, last: &Stanza) {
        if self.audience.sessions.lock().remove(&session.id) {
            tell(kernel, &session.jid, &last.clone().with_from(session.jid.clone())).await;
        }
    }
}

/// Tells all components that know of the accounts of the device's host.
async fn tell(kernel: &Arc<Kernel>, device: &FullJid, presence: &Stanza) {
    for component in &kernel.config.component {
        if sees(component, device.domain(), PresencePrivilege::ManagedEntity)
            && let Ok(to) = component.domain.parse::<Jid>()
        {
            kernel.tell_component(presence.clone().with_to(to)).await;
        }
    }
}

fn sees(component: &Component, host: &str, least: PresencePrivilege) -> bool {
    component.privileges.presence >= least && component.manages(host)
}

impl Audience {
    /// Section 8: everybody who is there, for a component that has just come.
    pub(super) fn present(&self, kernel: &Kernel, component: &Component) -> Vec<Stanza> {
        let Ok(to) = component.domain.parse::<Jid>() else { return Vec::new() };
        let mut present = Vec::new();
        if component.privileges.presence >= PresencePrivilege::ManagedEntity {
            let sessions = kernel.sessions.all();
            let managed = sessions.iter().filter(|one| component.manages(one.jid.domain()));
            present.extend(managed.filter_map(|session| session.presence()));
        }
        if component.privileges.presence >= PresencePrivilege::Roster {
            let contacts = self.contacts.lock();
            present.extend(contacts.present(|host| component.manages(host)).cloned());
        }
        present.into_iter().map(|presence| presence.with_to(to.clone())).collect()
    }

    /// The contacts elsewhere of a host's accounts that are known to be there.
    pub(super) fn contacts_of(&self, host: &BareJid) -> HashSet<BareJid> {
        self.contacts.lock().of_host(host.as_str())
    }

    /// Presence that comes to an account: section 7.4 if it is that of a contact elsewhere.
    pub(super) async fn handle_contact(&self, kernel: &Arc<Kernel>, stanza: &Stanza) {
        let available = match stanza.presence_type() {
            Some(PresenceType::Available) => true,
            Some(PresenceType::Unavailable) => false,
            _ => return,
        };
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let is_elsewhere = !from.is_bare() && !kernel.is_ours(from);
        let concerned = |component: &&Component| {
            component.domain != from.domain()
                && sees(component, to.domain(), PresencePrivilege::Roster)
        };
        let mut components = kernel.config.component.iter().filter(concerned).peekable();
        if !is_elsewhere || components.peek().is_none() || !is_contact(kernel, to, from).await {
            return;
        }
        if !self.contacts.lock().is_news(to.domain(), from, stanza, available) {
            return;
        }
        for component in components {
            let Ok(to) = component.domain.parse::<Jid>() else { continue };
            kernel.tell_component(stanza.clone().with_to(to)).await;
        }
    }
}

/// Whether the account sees the presence of whoever it comes from.
async fn is_contact(kernel: &Kernel, account: &Jid, from: &Jid) -> bool {
    let entry = kernel.store.roster.entry(account.bare_str(), from.bare_str()).await;
    entry.ok().and_then(|entry| entry.item).is_some_and(|item| is_seen(&item))
}

/// The account sees the contact's presence.
pub(super) fn is_seen(item: &RosterItem) -> bool {
    matches!(item.subscription, Subscription::To | Subscription::Both)
}
