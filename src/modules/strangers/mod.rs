//! Messages, invitations and subscription requests from addresses that an account does not know.
//!
//! Known is who is in the roster, whom the account wrote to, and whom it let in. A policy that is not
//! to accept everything begins with what is known then; the archive tells of earlier conversations.

mod known;
mod policy;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::Windows;
use wello_kernel::hooks::{AccountEvents, Flow, Guard, Screen};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_kernel::passage::Passage;
use wello_store::{
    Anchor, ArchiveId, QuarantineLimits, Query, QueryError, Role, StoreError, StrangerPolicy,
    StrangerVerdict,
};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::delay::Delay;
use wello_wire::payload::stanza_id::StanzaId;
use wello_wire::stanza::{Kind, PresenceType, Stanza};
use wello_wire::xml::Element;

use crate::archive::is_worth_keeping;
pub(crate) use known::Known;
pub(crate) use policy::is_written;
use policy::{Verdict, addressed, author, decide, is_invitation};

pub struct Strangers {
    known: Known,
    /// What strangers asked of each account.
    requests: Windows<Box<str>>,
}

const HOUR_SECONDS: u64 = 3600;

impl Default for Strangers {
    fn default() -> Strangers {
        Strangers { known: Known::default(), requests: Windows::new(HOUR_SECONDS) }
    }
}

impl Module for Strangers {
    fn name(&self) -> &'static str {
        "strangers"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.guard(Arc::clone(&self) as _);
        registrar.screen(Arc::clone(&self) as _);
        registrar.accounts(self);
    }
}

#[async_trait]
impl Guard for Strangers {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind != Kind::Iq
    }

    /// Notes whom accounts write to, before an answer can come; drops requests that are too many.
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let outcome = match stanza.kind {
            Kind::Message => self.note(kernel, stanza).await.map(|()| Flow::Next),
            Kind::Presence if stanza.presence_type() == Some(PresenceType::Subscribe) => {
                self.limit(kernel, stanza).await
            }
            Kind::Presence | Kind::Iq => Ok(Flow::Next),
        };
        outcome.unwrap_or_else(|error| failed(&error))
    }
}

#[async_trait]
impl Screen for Strangers {
    async fn screen(&self, kernel: &Arc<Kernel>, passage: &mut Passage) -> Flow {
        match self.judge(kernel, passage).await {
            Ok(Verdict::Pass) => Flow::Next,
            Ok(Verdict::Hold) => {
                passage.held = true;
                Flow::Next
            }
            Ok(Verdict::Drop) => Flow::Handled,
            // As for an account that does not exist (RFC 6121, section 8.5.1): it tells nothing of
            // whether the user is there.
            Ok(Verdict::Refuse) => Flow::Refuse(StanzaError::service_unavailable("")),
            Err(error) => failed(&error),
        }
    }

    async fn held(&self, kernel: &Arc<Kernel>, passage: &Passage) {
        let (Some(account), Some(id)) = (&passage.recipient, passage.record.recipient_id) else {
            return;
        };
        let Some(author) = author(kernel, &passage.stanza) else { return };
        let now = kernel.clock.now();
        let store = &kernel.store.privacy;
        let held = store.hold(account.as_str(), author.as_str(), id, now, limits(kernel)).await;
        if let Err(error) = held {
            tracing::error!(%account, %error, "a message that is held back was not noted");
        }
    }
}

#[async_trait]
impl AccountEvents for Strangers {
    async fn deleting(&self, _kernel: &Arc<Kernel>, account: &BareJid) {
        self.known.forget(account.as_str());
    }

    async fn contact_changed(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        contact: &BareJid,
        there: bool,
    ) {
        self.known.forget(account.as_str());
        let row = match there {
            true => kernel.store.privacy.stranger(account.as_str(), contact.as_str()).await,
            false => return,
        };
        let outcome = match row {
            Ok(Some(row)) if row.verdict != StrangerVerdict::Accepted => {
                self.accept(kernel, account, contact).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(%account, %error, "messages that were held back are not delivered");
        }
    }
}

impl Strangers {
    async fn note(&self, kernel: &Arc<Kernel>, message: &Stanza) -> Result<(), StoreError> {
        let Some((account, peer)) = addressed(kernel, message) else { return Ok(()) };
        if kernel.privacy_of(&account).await?.strangers == StrangerPolicy::Accept
            || self.knows(kernel, &account, &peer).await?
        {
            return Ok(());
        }
        self.accept(kernel, &account, &peer).await
    }

    async fn limit(&self, kernel: &Arc<Kernel>, request: &Stanza) -> Result<Flow, StoreError> {
        let (Some(from), Some(to)) = (&request.from, &request.to) else { return Ok(Flow::Next) };
        if to.local().is_none() || !kernel.hosts.contains(to.domain()) {
            return Ok(Flow::Next);
        }
        let (account, author) = (to.bare(), from.bare());
        if self.is_in_roster(kernel, &account, &author).await? || self.admit(kernel, &account) {
            return Ok(Flow::Next);
        }
        tracing::info!(%account, "subscription request of a stranger dropped: too many");
        Ok(Flow::Handled)
    }

    /// Counts a request of a stranger; `false` when there were too many.
    fn admit(&self, kernel: &Kernel, account: &BareJid) -> bool {
        let now = kernel.clock.now();
        let key: Box<str> = account.as_str().into();
        self.requests.admit(key, kernel.config.privacy.requests_per_hour, now)
    }

    async fn judge(&self, kernel: &Arc<Kernel>, passage: &Passage) -> Result<Verdict, StoreError> {
        let message = &passage.stanza;
        let (Some(account), Some(author)) = (&passage.recipient, author(kernel, message)) else {
            return Ok(Verdict::Pass);
        };
        let invites = is_invitation(message);
        let policy = kernel.privacy_of(account).await?.strangers;
        // What is done for each message ends here, but for who has chosen otherwise.
        if author == *account || (policy == StrangerPolicy::Accept && !invites) {
            return Ok(Verdict::Pass);
        }
        if self.knows(kernel, account, &author).await?
            || has_our_presence(passage)
            || kernel.role_of(&author).await == Some(Role::Admin)
        {
            return Ok(Verdict::Pass);
        }
        let row = kernel.store.privacy.stranger(account.as_str(), author.as_str()).await?;
        let room = match policy {
            StrangerPolicy::Accept => self.admit(kernel, account),
            StrangerPolicy::Quarantine => match &row {
                Some(row) => row.held.len() < limits(kernel).messages as usize,
                None => {
                    let held = kernel.store.privacy.held(account.as_str()).await?;
                    held.len() < limits(kernel).strangers as usize
                }
            },
            StrangerPolicy::Refuse => false,
        };
        let keep = is_worth_keeping(message).0;
        let verdict = row.map(|row| row.verdict);
        let (verdict, reason) = decide(policy, message.message_type(), verdict, keep, room);
        tracing::debug!(%account, ?verdict, reason, "message from a stranger");
        Ok(verdict)
    }

    /// Whether an account here gets an invitation through one of our rooms.
    pub(crate) async fn lets_invite(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        inviter: &BareJid,
    ) -> Result<bool, StoreError> {
        if self.knows(kernel, account, inviter).await?
            || kernel.role_of(inviter).await == Some(Role::Admin)
        {
            return Ok(true);
        }
        let policy = kernel.privacy_of(account).await?.strangers;
        Ok(policy == StrangerPolicy::Accept && self.admit(kernel, account))
    }

    /// Whether a message of the peer reaches the account as it does from anybody.
    async fn knows(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        peer: &BareJid,
    ) -> Result<bool, StoreError> {
        let changes = match self.known.look(account.as_str(), peer.as_str()) {
            Ok(()) => return Ok(true),
            Err(changes) => changes,
        };
        let row = kernel.store.privacy.stranger(account.as_str(), peer.as_str()).await?;
        let knows = match row.map(|row| row.verdict) {
            Some(StrangerVerdict::Accepted) => true,
            Some(StrangerVerdict::Refused) => false,
            Some(StrangerVerdict::Held) => self.is_in_roster(kernel, account, peer).await?,
            None => {
                self.is_in_roster(kernel, account, peer).await?
                    || has_written(kernel, account, peer, account).await?
            }
        };
        if knows {
            self.known.keep(account.as_str(), peer.as_str(), changes);
        }
        Ok(knows)
    }

    async fn is_in_roster(
        &self,
        kernel: &Kernel,
        account: &BareJid,
        peer: &BareJid,
    ) -> Result<bool, StoreError> {
        let entry = kernel.store.roster.entry(account.as_str(), peer.as_str()).await?;
        Ok(entry.item.is_some())
    }

    /// Lets somebody in, and delivers what was held back.
    pub(crate) async fn accept(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        peer: &BareJid,
    ) -> Result<(), StoreError> {
        let held = self.settle(kernel, account, peer, StrangerVerdict::Accepted).await?;
        deliver(kernel, account, held).await
    }

    /// Refuses whatever somebody writes from now on; what was held back stays in the archive.
    pub(crate) async fn refuse(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        peer: &BareJid,
    ) -> Result<(), StoreError> {
        self.settle(kernel, account, peer, StrangerVerdict::Refused).await.map(drop)
    }

    async fn settle(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        peer: &BareJid,
        verdict: StrangerVerdict,
    ) -> Result<Vec<ArchiveId>, StoreError> {
        let now = kernel.clock.now();
        let held = kernel.store.privacy.decide(account.as_str(), peer.as_str(), verdict, now).await;
        self.known.forget(account.as_str());
        held
    }
}

fn limits(kernel: &Kernel) -> QuarantineLimits {
    let config = &kernel.config.privacy;
    QuarantineLimits { strangers: config.held_strangers, messages: config.held_messages }
}

/// One of the account's devices has sent its presence there, or to the room that it came through.
fn has_our_presence(passage: &Passage) -> bool {
    let Some(from) = &passage.stanza.from else { return false };
    passage.recipient_sessions.iter().any(|session| session.has_directed_below(from.bare_str()))
}

/// Messages of a conversation that are looked through, from its beginning and from its end.
const LOOK_BACK: u32 = 50;

/// Whether the account's archive has something that `author`, one of the two, wrote to the other.
pub(crate) async fn has_written(
    kernel: &Kernel,
    account: &BareJid,
    peer: &BareJid,
    author: &BareJid,
) -> Result<bool, StoreError> {
    for anchor in [Anchor::First, Anchor::Last] {
        let query = Query {
            owner: account.to_string(),
            with: Some(peer.to_string()),
            anchor,
            max: LOOK_BACK,
            ..Query::default()
        };
        let page = match kernel.store.archive.query(&query).await {
            Ok(page) => page,
            Err(QueryError::Store(error)) => return Err(error),
            Err(QueryError::ItemNotFound(_)) => return Ok(false),
        };
        let is_author = |from: &str| from.split('/').next() == Some(author.as_str());
        if page.messages.iter().any(|message| is_author(&message.from)) {
            return Ok(true);
        }
        if page.complete {
            break;
        }
    }
    Ok(false)
}

/// To the devices that are there; the others find it in the archive.
async fn deliver(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    held: Vec<ArchiveId>,
) -> Result<(), StoreError> {
    if held.is_empty() {
        return Ok(());
    }
    let max = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let query = Query { owner: account.to_string(), ids: held, max, ..Query::default() };
    let messages = match kernel.store.archive.query(&query).await {
        Ok(page) => page.messages,
        Err(QueryError::Store(error)) => return Err(error),
        // It has expired meanwhile.
        Err(QueryError::ItemNotFound(_)) => Vec::new(),
    };
    let domain: Jid = account.domain_jid().into();
    for message in messages.iter().filter(|message| !message.retracted) {
        let element = String::from_utf8_lossy(&message.stanza).parse::<Element>().ok();
        let Some(Ok(mut stanza)) = element.map(Stanza::from_element) else { continue };
        let id = StanzaId { id: message.id.to_string(), by: account.clone().into() };
        stanza.stamps.push(id.to_element());
        stanza.stamps.push(Delay::by(message.time, domain.clone()).to_element());
        for session in kernel.sessions.of(account).iter().filter(|one| one.receives_bare()) {
            kernel.post(session, stanza.clone());
        }
    }
    Ok(())
}

fn failed(error: &StoreError) -> Flow {
    tracing::error!(%error, "it is not known whether somebody is a stranger");
    Flow::Refuse(StanzaError::internal_server_error(""))
}
