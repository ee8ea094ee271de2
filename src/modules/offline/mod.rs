//! Messages for accounts with no device connected (XEP-0160).

mod room;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::config::Offline as Limits;
use wello_kernel::hooks::{self, Flow};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::Passage;
use wello_kernel::sessions::Session;
use wello_store::{OfflineId, OfflineMessage, StoreError};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::payload::stanza_id::StanzaId;
use wello_wire::stanza::{MessageType, Stanza, StoredCopy};
use wello_wire::xml::Element;

use room::Room;

pub struct Offline {
    /// Whether new ones are kept; those that are there are delivered all the same.
    keeps: bool,
    room: Room,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0160",
    title: "Best Practices for Handling Offline Messages",
    version: "1.0.1",
    status: Status::Complete,
    host_features: &["msgoffline"],
    account_features: &[],
}];

/// Messages read from the store at a time.
const PAGE: u32 = 100;
/// Bytes of them that are on their way to a client at once; a single message may be larger. Below
/// what a session may leave unacknowledged.
const PAGE_BYTES: usize = 256 * 1024;

impl Offline {
    pub fn new(limits: &Limits) -> Offline {
        Offline { keeps: limits.enabled, room: Room::default() }
    }

    /// Whether one more message of `size` bytes may wait for the account.
    async fn admit(
        &self,
        kernel: &Kernel,
        account: &BareJid,
        size: u64,
    ) -> Result<bool, StoreError> {
        let admit = |now| self.room.admit(account.as_str(), size, &kernel.config.offline, now);
        if let Some(verdict) = admit(kernel.clock.now()) {
            return Ok(verdict);
        }
        let usage = kernel.store.offline.usage(account.as_str()).await?;
        let now = kernel.clock.now();
        self.room.note(account.as_str(), usage, now);
        Ok(admit(now).unwrap_or(false))
    }
}

impl Module for Offline {
    fn name(&self) -> &'static str {
        "offline"
    }

    fn specs(&self) -> &'static [Spec] {
        if self.keeps { SPECS } else { &[] }
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.undelivered(Arc::clone(&self) as _);
        registrar.sessions(self);
    }
}

/// Section 3, with the reason for the log.
fn is_storable(message: &Stanza) -> (bool, &'static str) {
    match message.message_type() {
        MessageType::Chat | MessageType::Normal => {}
        MessageType::Groupchat | MessageType::Headline | MessageType::Error => {
            return (false, "type");
        }
    }
    if message.has_child("no-store", ns::HINTS) {
        return (false, "hint");
    }
    if message.has_child("store", ns::HINTS) {
        return (true, "hint");
    }
    // Nobody wants to know minutes later that somebody was typing.
    let only_chat_state = message.children().all(|child| {
        child.ns() == ns::CHAT_STATES || child.is("thread", ns::CLIENT) || child.ns() == ns::HINTS
    });
    (!only_chat_state, "content")
}

#[async_trait]
impl hooks::Undelivered for Offline {
    async fn undelivered(&self, kernel: &Arc<Kernel>, passage: &mut Passage) -> Flow {
        if !is_storable(&passage.stanza).0 {
            // Chatter for somebody who is away is no reason for an error.
            return Flow::Handled;
        }
        // Nothing of guests is kept.
        let has_account = |recipient: &BareJid| !kernel.accounts.guests.serves(recipient.domain());
        let recipient = passage.recipient.clone().filter(|_| self.keeps);
        let Some(account) = recipient.filter(has_account) else {
            return Flow::Next;
        };
        let size = passage.stanza.to_bytes().len() as u64;
        match self.admit(kernel, &account, size).await {
            Ok(true) => {
                passage.record.offline = true;
                Flow::Handled
            }
            Ok(false) => Flow::Next,
            Err(error) => {
                tracing::error!(%account, %error, "offline messages not counted");
                Flow::Refuse(StanzaError::internal_server_error(""))
            }
        }
    }
}

#[async_trait]
impl hooks::SessionEvents for Offline {
    /// Section 2: with the first presence of non-negative priority.
    async fn available(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        begin(kernel, session).await;
    }

    /// Only now the stored copies go: until the client has a message, it may be lost on the way.
    async fn delivered(&self, kernel: &Arc<Kernel>, session: &Arc<Session>, copies: &[StoredCopy]) {
        let ids: Vec<OfflineId> = copies.iter().map(|copy| OfflineId(copy.0)).collect();
        if let Err(error) = kernel.store.offline.remove(session.jid.bare_str(), &ids).await {
            tracing::error!(session = %session.id, %error, "offline messages not removed");
        }
        self.room.forget(session.jid.bare_str());
        let last = session.receiving_offline();
        if last.is_some_and(|last| copies.contains(&last)) {
            go_on(kernel, session).await;
        }
    }

    /// What the session did not get is for another one that is there.
    async fn ended(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        if session.receiving_offline().is_none() {
            return;
        }
        for other in kernel.sessions.of(&session.jid).iter() {
            begin(kernel, other).await;
        }
    }
}

/// Begins to send the account's messages, unless another session gets them.
async fn begin(kernel: &Arc<Kernel>, session: &Arc<Session>) {
    if session.receives_bare()
        && !session.declines_offline()
        && kernel.sessions.claim_offline(session)
    {
        go_on(kernel, session).await;
    }
}

async fn go_on(kernel: &Arc<Kernel>, session: &Session) {
    if let Err(error) = send_page(kernel, session).await {
        tracing::error!(session = %session.id, %error, "offline messages not delivered");
        session.set_receiving_offline(None);
    }
}

/// Sends the next messages. Those after them wait until the client has these, so that a slow
/// client does not make them pile up in memory.
async fn send_page(kernel: &Arc<Kernel>, session: &Session) -> Result<(), StoreError> {
    let account = session.jid.bare_str();
    loop {
        let after = session.receiving_offline().map(|last| OfflineId(last.0));
        let page = kernel.store.offline.page(account, after, PAGE).await?;
        if page.is_empty() {
            session.set_receiving_offline(None);
            return Ok(());
        }
        let (page, damaged) = readable(page, session);
        if !damaged.is_empty() {
            tracing::error!(%account, count = damaged.len(), "damaged offline messages removed");
            kernel.store.offline.remove(account, &damaged).await?;
        }
        if let Some(last) = page.last() {
            session.set_receiving_offline(last.stored);
            page.into_iter().for_each(|stanza| session.reply(stanza));
            return Ok(());
        }
    }
}

/// The first messages of a page, as many as may be on their way at once, and the ids of those
/// that cannot be read.
fn readable(page: Vec<OfflineMessage>, session: &Session) -> (Vec<Stanza>, Vec<OfflineId>) {
    let (mut stanzas, mut damaged, mut bytes) = (Vec::new(), Vec::new(), 0);
    for message in page {
        bytes += message.stanza.len();
        if bytes > PAGE_BYTES && !stanzas.is_empty() {
            break;
        }
        match delayed(&message, session) {
            Some(stanza) => stanzas.push(stanza),
            None => damaged.push(message.id),
        }
    }
    (stanzas, damaged)
}

/// XEP-0203: when the server took it. XEP-0359: where the archive has it.
fn delayed(message: &OfflineMessage, session: &Session) -> Option<Stanza> {
    let element = String::from_utf8_lossy(&message.stanza).parse::<Element>().ok()?;
    let mut stanza = Stanza::from_element(element).ok()?;
    stanza.stored = Some(StoredCopy(message.id.0));
    if let Some(id) = message.archive_id {
        let id = StanzaId { id: id.to_string(), by: session.bare().into() };
        stanza.stamps.push(id.to_element());
    }
    stanza.stamps.push(Delay::by(message.time, session.jid.domain_jid()).to_element());
    Some(stanza)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storable(attributes: &str, children: &str) -> bool {
        let text = format!("<message xmlns='jabber:client' {attributes}>{children}</message>");
        is_storable(&Stanza::from_element(text.parse().unwrap()).unwrap()).0
    }

    #[test]
    fn what_waits_for_the_next_login() {
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        assert!(storable("type='chat'", "<body>x</body>"));
        assert!(storable("", "<x xmlns='urn:anything'/>"));
        assert!(!storable("type='chat'", typing));
        assert!(storable("type='chat'", &format!("{typing}<body>x</body>")));
        assert!(!storable("type='headline'", "<body>x</body>"));
        assert!(!storable("type='groupchat'", "<body>x</body>"));
        assert!(!storable("", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>"));
    }
}
