//! Message carbons (XEP-0280): all devices see both sides of a conversation.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{self, BindInline, IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::{CopyTo, Passage, Side};
use wello_kernel::sessions::Session;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

pub struct Carbons;

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0280",
        title: "Message Carbons",
        version: "1.0.1",
        status: Status::Complete,
        host_features: &[ns::CARBONS, ns::CARBONS_RULES],
        account_features: &[ns::CARBONS, ns::CARBONS_RULES],
    },
    // What a server does for calls: every device of both sees what was said, now and in the
    // archive, and sleeping ones are woken. There is no feature to announce.
    Spec {
        id: "XEP-0353",
        title: "Jingle Message Initiation",
        version: "0.8.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0482",
        title: "Call Invites",
        version: "0.1.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

impl Module for Carbons {
    fn name(&self) -> &'static str {
        "carbons"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::CARBONS, Arc::clone(&self) as _);
        // COMPAT: many clients send the request to the server's own address.
        registrar.iq(IqScope::Host, ns::CARBONS, Arc::clone(&self) as _);
        registrar.bind_inline(Arc::clone(&self) as _);
        registrar.copy(self);
    }
}

#[async_trait]
impl IqHandler for Carbons {
    async fn handle(
        &self,
        _kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Set)?;
        let own = request
            .session
            .filter(|session| request.is_own() || request.to.as_str() == session.jid.domain());
        let session = own.ok_or_else(|| StanzaError::forbidden("only for one's own account"))?;
        match request.payload.name() {
            "enable" => session.set_carbons(true),
            "disable" => session.set_carbons(false),
            _ => return Err(StanzaError::bad_request("neither enable nor disable")),
        }
        Ok(IqAnswer::Result(None))
    }
}

#[async_trait]
impl BindInline for Carbons {
    fn features(&self) -> Vec<&'static str> {
        vec![ns::CARBONS]
    }

    async fn bound(
        &self,
        _kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        request: &[Element],
    ) -> Vec<Element> {
        if request.iter().any(|child| child.is("enable", ns::CARBONS)) {
            session.set_carbons(true);
        }
        Vec::new()
    }
}

impl hooks::Copy for Carbons {
    fn copy(&self, kernel: &Kernel, passage: &mut Passage) {
        if !should_copy(&passage.stanza).0 {
            return;
        }
        let mut copies = Vec::new();
        if passage.recipient.is_some() && !passage.targets.is_empty() {
            for session in passage.recipient_sessions.iter().filter(|session| session.carbons()) {
                let has_it = passage.targets.iter().any(|target| target.id == session.id);
                let is_sender = passage.session.as_ref().is_some_and(|s| s.id == session.id);
                if !has_it && !is_sender {
                    let session = Arc::clone(session);
                    copies.push(CopyTo { session, wrap: received, side: Side::Recipient });
                }
            }
        }
        if let Some(sender) = sender(passage) {
            let device = passage.session.as_ref().map(|session| session.id);
            for session in kernel.sessions.of(&sender).iter().filter(|s| s.carbons()) {
                let has_it = passage.targets.iter().any(|target| target.id == session.id);
                let copied = copies.iter().any(|copy| copy.session.id == session.id);
                if device != Some(session.id) && !has_it && !copied {
                    let session = Arc::clone(session);
                    copies.push(CopyTo { session, wrap: sent, side: Side::Sender });
                }
            }
        }
        passage.copies.extend(copies);
    }
}

/// The account whose devices see what was sent: that of the session, or, of what came by another
/// door (REST), the one it is from. An error that the server answers in its name is not its own.
fn sender(passage: &Passage) -> Option<Jid> {
    if let Some(session) = &passage.session {
        return Some((*session.jid).clone());
    }
    let spoken = passage.stanza.message_type() != MessageType::Error;
    passage.sender.clone().filter(|_| spoken).map(Jid::from)
}

/// Section 6.1, with the reason for the log.
fn should_copy(message: &Stanza) -> (bool, &'static str) {
    if message.has_child("private", ns::CARBONS) {
        return (false, "private");
    }
    if message.has_child("no-copy", ns::HINTS) {
        return (false, "no-copy hint");
    }
    // What came through a room goes to each device that joined it (section 6.1); invitations do
    // not, and private messages of a room are of type chat with this mark.
    let room = message.child("x", ns::MUC_USER);
    if room.is_some_and(|x| x.child("invite", ns::MUC_USER).is_none()) {
        return (false, "private message in a room");
    }
    match message.message_type() {
        MessageType::Groupchat => (false, "groupchat"),
        MessageType::Headline => (false, "headline"),
        MessageType::Chat => (true, "chat"),
        MessageType::Error => (has_payload(message), "error"),
        MessageType::Normal if message.has_child("body", ns::CLIENT) => (true, "normal with body"),
        MessageType::Normal => (has_payload(message), "normal"),
    }
}

/// Payloads that belong to conversations.
fn has_payload(message: &Stanza) -> bool {
    message.children().any(|child| {
        matches!(
            child.ns(),
            ns::RECEIPTS
                | ns::CHAT_STATES
                | ns::CHAT_MARKERS
                | ns::JINGLE_MESSAGE
                | ns::CALL_INVITES
                | ns::MEET
        ) || child.name() == "encrypted"
            || child.is("x", ns::DIRECT_INVITE)
            || child.is("x", ns::MUC_USER)
            || child.is("body", ns::CLIENT)
    })
}

fn received(message: &Stanza, to: &Session) -> Stanza {
    wrap("received", message, to)
}

fn sent(message: &Stanza, to: &Session) -> Stanza {
    wrap("sent", message, to)
}

/// Section 7: from the account's bare address, of the same type as the message.
fn wrap(name: &'static str, message: &Stanza, to: &Session) -> Stanza {
    let forwarded = Element::new("forwarded", ns::FORWARD).with_child(message.to_element());
    let mut wrapper = Stanza::message(message.message_type())
        .with_from(Jid::from(to.bare()))
        .with_to(to.jid.clone())
        .with_child(Element::new(name, ns::CARBONS).with_child(forwarded));
    wrapper.type_.clone_from(&message.type_);
    wrapper
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(attributes: &str, children: &str) -> bool {
        let text = format!("<message xmlns='jabber:client' {attributes}>{children}</message>");
        should_copy(&Stanza::from_element(text.parse().unwrap()).unwrap()).0
    }

    #[test]
    fn the_rules_of_section_6_1() {
        assert!(copied("type='chat'", "<body>x</body>"));
        assert!(copied(
            "type='chat'",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        ));
        assert!(copied("", "<body>x</body>"));
        assert!(copied("", "<received xmlns='urn:xmpp:receipts' id='1'/>"));
        assert!(copied("", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"));
        assert!(!copied("", "<x xmlns='urn:other'/>"));
        assert!(!copied("type='groupchat'", "<body>x</body>"));
        assert!(!copied("type='headline'", "<body>x</body>"));
        assert!(!copied("type='chat'", "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>"));
        assert!(!copied("type='chat'", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>"));
        let muc = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
        assert!(!copied("type='chat'", &format!("<body>x</body>{muc}")));
        let invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>";
        assert!(copied("", invite));
    }
}
