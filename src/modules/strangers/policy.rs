//! What is done with a stranger's message, and who counts as its author.

use wello_kernel::Kernel;
use wello_store::{StrangerPolicy, StrangerVerdict};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Into the archive, and to nobody.
    Hold,
    /// Without a word.
    Drop,
    /// The author is told.
    Refuse,
}

/// What is done with a message of a stranger, with the reason for the log. `keep`: it is worth
/// keeping; `room`: there is room for one more.
pub(super) fn decide(
    policy: StrangerPolicy,
    type_: MessageType,
    before: Option<StrangerVerdict>,
    keep: bool,
    room: bool,
) -> (Verdict, &'static str) {
    if policy == StrangerPolicy::Accept {
        return match room {
            true => (Verdict::Pass, "accepted"),
            false => (Verdict::Drop, "too many invitations"),
        };
    }
    // Neither gets an answer (RFC 6121, sections 5.2.2 and 8.5.4).
    if matches!(type_, MessageType::Error | MessageType::Headline) {
        return (Verdict::Drop, "type");
    }
    if before == Some(StrangerVerdict::Refused) {
        return (Verdict::Refuse, "refused by the user");
    }
    if policy == StrangerPolicy::Refuse || type_ == MessageType::Groupchat {
        return (Verdict::Refuse, "policy");
    }
    match (keep, room) {
        (false, _) => (Verdict::Drop, "nothing to read"),
        (true, true) => (Verdict::Hold, "policy"),
        (true, false) => (Verdict::Refuse, "the quarantine is full"),
    }
}

/// Through a room (XEP-0045, section 7.8.2) or directly (XEP-0249).
pub(super) fn is_invitation(message: &Stanza) -> bool {
    let room = message.child("x", ns::MUC_USER);
    message.has_child("x", ns::DIRECT_INVITE)
        || room.is_some_and(|x| x.child("invite", ns::MUC_USER).is_some())
}

/// Who answers for a message; nobody for what servers and our own rooms say, which let only those
/// invite whom [`super::Strangers::lets_invite`] lets.
pub(super) fn author(kernel: &Kernel, message: &Stanza) -> Option<BareJid> {
    let from = message.from.as_ref()?;
    let is_somebody =
        from.local().is_some() && !kernel.hooks().services.contains_key(from.domain());
    is_somebody.then(|| from.bare())
}

/// The account here that writes, and whom it writes to.
pub(super) fn addressed(kernel: &Kernel, message: &Stanza) -> Option<(BareJid, BareJid)> {
    let (from, to) = (message.from.as_ref()?, message.to.as_ref()?);
    let is_client =
        !from.is_bare() && from.local().is_some() && kernel.hosts.contains(from.domain());
    let is_peer = to.local().is_some()
        && to.bare_str() != from.bare_str()
        && !kernel.hooks().services.contains_key(to.domain());
    (is_client && is_peer && is_written(message)).then(|| (from.bare(), to.bare()))
}

/// By a person: clients report on messages that they found in the archive by themselves.
pub(crate) fn is_written(message: &Stanza) -> bool {
    let is_conversation = matches!(message.message_type(), MessageType::Chat | MessageType::Normal);
    is_conversation
        && message.children().any(|child| match child.ns() {
            ns::CLIENT => child.name() == "body",
            ns::JINGLE_MESSAGE | ns::MEET => {
                matches!(child.name(), "propose" | "proceed" | "accept")
            }
            ns::CALL_INVITES | ns::DIRECT_INVITE | ns::SFS | ns::REACTIONS => true,
            _ => child.name() == "encrypted",
        })
}
