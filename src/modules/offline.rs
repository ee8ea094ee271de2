//! Messages for accounts with no device connected (XEP-0160).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{self, Flow};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::Passage;
use wello_kernel::sessions::Session;
use wello_store::OfflineMessage;
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

pub struct Offline;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0160",
    title: "Best Practices for Handling Offline Messages",
    version: "1.0.1",
    status: Status::Complete,
    host_features: &["msgoffline"],
    account_features: &[],
}];

/// Messages read from the store and sent at a time.
const PAGE: u32 = 100;

impl Module for Offline {
    fn name(&self) -> &'static str {
        "offline"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
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
        let Some(account) = passage.recipient.clone().filter(|_| kernel.config.offline.enabled)
        else {
            return Flow::Next;
        };
        match kernel.store.offline.count(account.as_str()).await {
            Ok(count) if count < kernel.config.offline.messages => {
                passage.record.offline = true;
                Flow::Handled
            }
            Ok(_) => Flow::Next,
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
        if !session.receives_bare() || session.has_taken_offline() {
            return;
        }
        session.set_taken_offline();
        if let Err(error) = deliver(kernel, session).await {
            tracing::error!(session = %session.id, %error, "offline messages not delivered");
        }
    }
}

async fn deliver(kernel: &Arc<Kernel>, session: &Session) -> Result<(), wello_store::StoreError> {
    let account = session.jid.bare_str();
    loop {
        let page = kernel.store.offline.page(account, None, PAGE).await?;
        let Some(last) = page.last().map(|message| message.id) else { return Ok(()) };
        for message in &page {
            if let Some(stanza) = delayed(message, session.jid.domain()) {
                session.reply(stanza);
            }
        }
        kernel.store.offline.remove_up_to(account, last).await?;
    }
}

/// XEP-0203: when the server took it.
fn delayed(message: &OfflineMessage, by: &str) -> Option<Stanza> {
    let element = String::from_utf8_lossy(&message.stanza).parse::<Element>().ok()?;
    let stanza = Stanza::from_element(element).ok()?;
    let delay = Element::new("delay", ns::DELAY)
        .with_attr("from", by)
        .with_attr("stamp", message.time.to_string());
    Some(stanza.with_child(delay))
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
