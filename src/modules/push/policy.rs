//! What is worth waking a device for.

use wello_wire::ns;
use wello_wire::stanza::{Kind, MessageType, PresenceType, Stanza};
use wello_wire::xml::Element;

use super::wake::Wake;

/// Encryption whose content the server cannot see: OMEMO, OX, XEP-0027.
const ENCRYPTED: [(&str, &str); 4] = [
    ("encrypted", "eu.siacs.conversations.axolotl"),
    ("encrypted", "urn:xmpp:omemo:2"),
    ("openpgp", "urn:xmpp:openpgp:0"),
    ("x", "jabber:x:encrypted"),
];
/// XEP-0372.
const REFERENCES: &str = "urn:xmpp:reference:0";

/// Whether a stanza for a device that is away is pushed, with the reason for the log.
pub(super) fn wake(stanza: &Stanza) -> (Option<Wake>, &'static str) {
    if stanza.presence_type() == Some(PresenceType::Subscribe) {
        return (Some(Wake::Request), "subscription request");
    }
    let type_ = stanza.message_type();
    if stanza.kind != Kind::Message || matches!(type_, MessageType::Error | MessageType::Headline) {
        return (None, "kind or type");
    }
    // What comes by another device of the account is judged by what it wraps.
    if stanza.has_child("sent", ns::CARBONS) {
        return (None, "own");
    }
    if let Some(received) = stanza.child("received", ns::CARBONS) {
        return match wrapped(received) {
            Some(message) => wake(&message),
            None => (None, "empty copy"),
        };
    }
    // Calls ring (XEP-0353), and stop ringing. Both before the hints: a client may say that a call
    // is not to be archived.
    let calls = |name: &str| stanza.has_child(name, ns::JINGLE_MESSAGE);
    if calls("propose") {
        return (Some(Wake::Call), "call");
    }
    if calls("retract") {
        return (Some(Wake::Quiet), "call is over");
    }
    // The same by XEP-0482, in rooms too, and by the Tigase Meet Protocol, section 3.2.2.
    if stanza.has_child("propose", ns::MEET) {
        return (Some(Wake::Call), "invitation to a call");
    }
    if stanza.has_child("retract", ns::MEET) {
        return (Some(Wake::Quiet), "call is over");
    }
    if stanza.has_child("invite", ns::CALL_INVITES) {
        return (Some(Wake::Call), "invitation to a call");
    }
    if stanza.has_child("retract", ns::CALL_INVITES) {
        return (Some(Wake::Quiet), "call is over");
    }
    if stanza.has_child("no-store", ns::HINTS) {
        return (None, "passing");
    }
    let has_body = stanza.body().is_some_and(|body| !body.is_empty());
    if type_ == MessageType::Groupchat && stanza.has_child("subject", ns::CLIENT) && !has_body {
        return (None, "subject of a room");
    }
    if stanza.has_child("clip", ns::PTT) {
        return (Some(Wake::Clip), "voice clip");
    }
    // They may have no body, or one that says nothing.
    if ENCRYPTED.iter().any(|(name, ns)| stanza.has_child(name, ns)) {
        return (Some(Wake::Message), "encrypted");
    }
    if stanza.children().any(is_invitation) {
        return (Some(Wake::Message), "invitation");
    }
    if has_body {
        return (Some(Wake::Message), "body");
    }
    if stanza.has_child("file-sharing", ns::SFS) {
        return (Some(Wake::Message), "file");
    }
    if stanza.children().any(is_mention) {
        return (Some(Wake::Message), "mention");
    }
    // Whatever else its sender wants kept, such as a reaction or the end of a call.
    if stanza.has_child("store", ns::HINTS) && !stanza.children().any(is_report) {
        return (Some(Wake::Quiet), "to be stored");
    }
    (None, "nothing to read")
}

/// Whether an account's own message says that one of its devices has taken or refused a call:
/// the others are to stop ringing.
pub(super) fn is_answer(stanza: &Stanza) -> bool {
    let says = |ns: &'static str, names: &[&str]| {
        stanza.children().any(|child| child.ns() == ns && names.contains(&child.name()))
    };
    stanza.kind == Kind::Message
        && matches!(stanza.message_type(), MessageType::Chat | MessageType::Normal)
        && (says(ns::JINGLE_MESSAGE, &["proceed", "accept", "reject"])
            || says(ns::CALL_INVITES, &["accept", "reject"])
            || says(ns::MEET, &["proceed", "accept", "reject"]))
}

fn wrapped(copy: &Element) -> Option<Stanza> {
    let message = copy.child("forwarded", ns::FORWARD)?.child("message", ns::CLIENT)?;
    Stanza::from_element(message.clone()).ok()
}

fn is_invitation(child: &Element) -> bool {
    child.is("x", ns::DIRECT_INVITE)
        || (child.is("x", ns::MUC_USER) && child.child("invite", ns::MUC_USER).is_some())
}

pub(super) fn is_mention(child: &Element) -> bool {
    child.is("mention", ns::MENTIONS)
        || (child.is("reference", REFERENCES) && child.attr("type") == Some("mention"))
}

/// What tells a sender that its message came through or was read.
fn is_report(child: &Element) -> bool {
    matches!(child.ns(), ns::RECEIPTS | ns::CHAT_MARKERS)
}

/// Where a device is, seen from one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// It has a living connection.
    Connected,
    /// The message waits in its hibernating session.
    Waiting,
    /// It has no session, or one that did not get the message.
    Gone,
}

/// `seen`: the message went to a living connection of some device of the account.
pub(super) fn is_woken(away: Away, seen: bool) -> bool {
    match away {
        Away::Connected => false,
        Away::Waiting => true,
        Away::Gone => !seen,
    }
}
