//! How many strangers the accounts here may turn to. Whoever has got hold of an account to spam from
//! needs many; people do not.
//!
//! No stranger is who has a subscription with the account or has written to it, since neither can be
//! brought about by one side alone.

mod tally;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::accounts::Windows;
use wello_kernel::audit::{Actor, AuditOutcome};
use wello_kernel::config;
use wello_kernel::hooks::{AccountEvents, Permit};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_kernel::sessions::Session;
use wello_store::{Role, StoreError, Subscription, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use crate::strangers::{Known, has_written, is_written};
use tally::{Allowance, Exceeded, Peer, Tally};

pub struct Egress {
    /// Who is no stranger to each account.
    known: Known,
    tally: Mutex<Tally>,
    hasher: RandomState,
    /// Accounts of which the operator has been told lately.
    told: Windows<Box<str>>,
}

const HOUR_SECONDS: u64 = 3600;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for Egress {
    fn default() -> Egress {
        Egress {
            known: Known::default(),
            tally: Mutex::default(),
            hasher: RandomState::new(),
            told: Windows::new(HOUR_SECONDS),
        }
    }
}

impl Module for Egress {
    fn name(&self) -> &'static str {
        "egress"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.permit(Arc::clone(&self) as _);
        registrar.accounts(self);
    }
}

#[async_trait]
impl Permit for Egress {
    async fn permit(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        stanza: &Stanza,
    ) -> Result<(), StanzaError> {
        for peer in turned_to(kernel, session, stanza) {
            self.check(kernel, session, &peer).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl AccountEvents for Egress {
    async fn deleting(&self, _kernel: &Arc<Kernel>, account: &BareJid) {
        self.known.forget(account.as_str());
    }

    async fn contact_changed(
        &self,
        _kernel: &Arc<Kernel>,
        account: &BareJid,
        _contact: &BareJid,
        _there: bool,
    ) {
        self.known.forget(account.as_str());
    }
}

impl Egress {
    async fn check(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        peer: &Jid,
    ) -> Result<(), StanzaError> {
        let (account, now) = (session.jid.bare_str(), kernel.clock.now());
        let Err(changes) = self.known.look(account, peer.bare_str()) else { return Ok(()) };
        let stranger = self.peer(kernel, peer);
        if self.tally.lock().has(account, stranger, now) {
            return Ok(());
        }
        let account = session.bare();
        let failed = |error: StoreError| {
            tracing::error!(%account, %error, "strangers not looked up");
            StanzaError::internal_server_error("")
        };
        if is_acquainted(kernel, &account, &peer.bare()).await.map_err(failed)? {
            self.known.keep(account.as_str(), peer.bare_str(), changes);
            return Ok(());
        }
        let Some(allowance) = allowance(kernel, &account, now).await.map_err(failed)? else {
            return Ok(());
        };
        let admitted = self.tally.lock().admit(account.as_str(), stranger, allowance, now);
        if let Err(exceeded) = admitted {
            self.tell(kernel, &account, exceeded, now).await;
            return Err(StanzaError::resource_constraint(exceeded.to_string()));
        }
        Ok(())
    }

    fn peer(&self, kernel: &Kernel, peer: &Jid) -> Peer {
        let is_ours = kernel.hosts.contains(peer.domain());
        Peer {
            address: self.hasher.hash_one(peer.bare_str()),
            domain: (!is_ours).then(|| self.hasher.hash_one(peer.domain())),
        }
    }

    /// Once an hour: whoever goes on trying is not to fill the log.
    async fn tell(&self, kernel: &Kernel, account: &BareJid, exceeded: Exceeded, now: Timestamp) {
        let key: Box<str> = account.as_str().into();
        if self.told.admit(key, 1, now) {
            let refused = AuditOutcome::Refused(format!("{exceeded:?}"));
            kernel.audit(Actor::Server, "strangers", account.as_str(), &refused).await;
        }
    }
}

/// Whom a client turns to without being asked: with what a person has written, with a request to see
/// presence, with invitations to a room.
fn turned_to(kernel: &Kernel, session: &Session, stanza: &Stanza) -> Vec<Jid> {
    let Some(to) = &stanza.to else { return Vec::new() };
    let is_service = |jid: &Jid| kernel.hooks().services.contains_key(jid.domain());
    let is_peer = |jid: &Jid| {
        jid.local().is_some() && jid.bare_str() != session.jid.bare_str() && !is_service(jid)
    };
    match stanza.kind {
        Kind::Message => {
            let mut peers: Vec<Jid> = invited(stanza).filter(is_peer).collect();
            // Who sits in a room with somebody is no stranger to them.
            if is_peer(to) && is_written(stanza) && !session.has_directed_below(to.bare_str()) {
                peers.push(to.clone());
            }
            peers
        }
        Kind::Presence if stanza.presence_type() == Some(PresenceType::Subscribe) => {
            Some(to.clone()).into_iter().filter(is_peer).collect()
        }
        Kind::Presence | Kind::Iq => Vec::new(),
    }
}

/// Whom a message to a room invites (XEP-0045, section 7.8.2).
fn invited(message: &Stanza) -> impl Iterator<Item = Jid> {
    let children = message.child("x", ns::MUC_USER).into_iter().flat_map(|x| x.children());
    let invites = children.filter(|child| child.is("invite", ns::MUC_USER));
    invites.filter_map(|invite| invite.attr("to")?.parse().ok())
}

async fn is_acquainted(
    kernel: &Kernel,
    account: &BareJid,
    peer: &BareJid,
) -> Result<bool, StoreError> {
    let entry = kernel.store.roster.entry(account.as_str(), peer.as_str()).await?;
    let subscribed = entry.item.is_some_and(|item| item.subscription != Subscription::None);
    Ok(subscribed || has_written(kernel, account, peer, peer).await?)
}

/// `None`: as many as it likes.
async fn allowance(
    kernel: &Kernel,
    account: &BareJid,
    now: Timestamp,
) -> Result<Option<Allowance>, StoreError> {
    // Guests have no account, and write to nobody outside of their room.
    let Some(found) = kernel.store.accounts.find(account.as_str()).await? else { return Ok(None) };
    let age = now.since(found.created);
    Ok((found.role != Role::Admin).then(|| allowance_at(&kernel.config.egress, age)))
}

fn allowance_at(config: &config::Egress, age: Duration) -> Allowance {
    if age < DAY * config.new_days {
        return Allowance {
            per_hour: config.new_strangers_per_hour,
            per_day: config.new_strangers_per_day,
            domains_per_day: config.new_domains_per_day,
        };
    }
    Allowance {
        per_hour: config.strangers_per_hour,
        per_day: config.strangers_per_day,
        domains_per_day: config.domains_per_day,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_accounts_may_do_less() {
        let config = config::Egress::default();
        assert_eq!(allowance_at(&config, DAY * 2).per_hour, config.new_strangers_per_hour);
        assert_eq!(allowance_at(&config, DAY * 3).per_hour, config.strangers_per_hour);
    }

    #[test]
    fn all_who_are_invited_count() {
        let message = "<message xmlns='jabber:client' to='r@conference.b'>\
            <x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/><invite/>\
            <invite to='@@'/><invite to='c@d/e'/><decline to='x@y'/></x></message>";
        let message = Stanza::from_element(message.parse().unwrap()).unwrap();
        let invited: Vec<String> = invited(&message).map(|jid| jid.to_string()).collect();
        assert_eq!(invited, ["a@b", "c@d/e"]);
    }
}
