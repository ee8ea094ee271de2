//! The message archive (XEP-0313 with `#extended`, XEP-0424, XEP-0431, XEP-0441).

mod policy;
mod requests;
mod retraction;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use wello_kernel::Kernel;
use wello_kernel::hooks::{self, IqScope};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::Passage;
use wello_store::ArchivePrefs;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;

pub(crate) use policy::is_worth_keeping;
pub use policy::searchable_text;
pub(crate) use requests::{forwarded, metadata, query_page};

/// The archive's hooks, requests and caches.
#[derive(Default)]
pub struct Archive {
    /// Preferences of accounts that lately sent or received something.
    prefs: RwLock<std::collections::HashMap<BareJid, Option<Arc<ArchivePrefs>>>>,
}

/// Accounts whose preferences are remembered before all are forgotten.
const MAX_PREFS: usize = 50_000;

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0313",
        title: "Message Archive Management",
        version: "1.1.3",
        status: Status::Complete,
        host_features: &[],
        account_features: &[ns::MAM, ns::MAM_EXTENDED],
    },
    Spec {
        id: "XEP-0424",
        title: "Message Retraction",
        version: "0.4.2",
        status: Status::Complete,
        host_features: &[],
        account_features: &[ns::RETRACT, ns::RETRACT_TOMBSTONE],
    },
    Spec {
        id: "XEP-0431",
        title: "Full Text Search in MAM",
        version: "0.3.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[ns::FULL_TEXT],
    },
    Spec {
        id: "XEP-0441",
        title: "Message Archive Management Preferences",
        version: "0.2.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

impl Module for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::MAM, Arc::clone(&self) as _);
        registrar.bind_inline(Arc::clone(&self) as _);
        registrar.archive(self);
    }
}

#[async_trait]
impl hooks::Archive for Archive {
    async fn archive(&self, kernel: &Arc<Kernel>, passage: &mut Passage) {
        if !kernel.config.archive.enabled || !policy::is_archivable(&passage.stanza).0 {
            return;
        }
        let (Some(from), Some(to)) = (passage.stanza.from.clone(), passage.stanza.to.clone())
        else {
            return;
        };
        if let Some(recipient) = passage.recipient.clone()
            && self.wants(kernel, &recipient, &from).await
        {
            passage.record.recipient_id = Some(self.next_id(kernel));
        }
        // What one sends to oneself is in the archive once.
        if let Some(sender) = passage.sender.clone()
            && passage.recipient.as_ref() != Some(&sender)
            && self.wants(kernel, &sender, &to).await
        {
            passage.record.sender_id = Some(self.next_id(kernel));
        }
        if !passage.record.is_empty() {
            passage.record.text = policy::searchable_text(&passage.stanza);
        }
        self.retract(kernel, passage).await;
    }
}

impl Archive {
    fn next_id(&self, kernel: &Kernel) -> wello_store::ArchiveId {
        kernel.store.archive_ids.next(kernel.clock.now())
    }

    async fn wants(&self, kernel: &Arc<Kernel>, owner: &BareJid, contact: &Jid) -> bool {
        // Nothing of guests is kept.
        if kernel.accounts.guests.serves(owner.domain()) {
            return false;
        }
        let prefs = self.prefs(kernel, owner).await;
        let default = kernel.config.archive.policy;
        if let (decided, "always" | "never" | "on the never list" | "on the always list") =
            policy::is_wanted(prefs.as_deref(), default, contact, false)
        {
            return decided;
        }
        let entry = kernel.store.roster.entry(owner.as_str(), contact.bare_str()).await;
        let in_roster = entry.is_ok_and(|entry| entry.item.is_some());
        policy::is_wanted(prefs.as_deref(), default, contact, in_roster).0
    }

    async fn prefs(&self, kernel: &Arc<Kernel>, owner: &BareJid) -> Option<Arc<ArchivePrefs>> {
        if let Some(known) = self.prefs.read().get(owner) {
            return known.clone();
        }
        let loaded = match kernel.store.archive.prefs(owner.as_str()).await {
            Ok(prefs) => prefs.map(Arc::new),
            Err(error) => {
                tracing::error!(%owner, %error, "archiving preferences not read");
                return None;
            }
        };
        self.remember(owner, loaded.clone());
        loaded
    }

    fn remember(&self, owner: &BareJid, prefs: Option<Arc<ArchivePrefs>>) {
        let mut known = self.prefs.write();
        if known.len() >= MAX_PREFS {
            known.clear();
        }
        known.insert(owner.clone(), prefs);
    }
}
