//! What goes into an archive (XEP-0313, section 5; XEP-0334; XEP-0441).

use wello_kernel::config::ArchivePolicy;
use wello_store::{ArchiveDefault, ArchivePrefs};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

/// Whether a message is worth keeping at all, with the reason for the log.
pub(super) fn is_archivable(message: &Stanza) -> (bool, &'static str) {
    match message.message_type() {
        // Section 5.1.2: rooms keep their own.
        MessageType::Groupchat => return (false, "groupchat"),
        MessageType::Headline => return (false, "headline"),
        MessageType::Error => return (false, "error"),
        MessageType::Chat | MessageType::Normal => {}
    }
    is_worth_keeping(message)
}

/// The same, whatever the type.
pub(crate) fn is_worth_keeping(message: &Stanza) -> (bool, &'static str) {
    if message.has_child("no-permanent-store", ns::HINTS)
        || message.has_child("no-store", ns::HINTS)
    {
        return (false, "hint not to store");
    }
    if message.has_child("store", ns::HINTS) {
        return (true, "hint to store");
    }
    if message.children().any(is_content) { (true, "content") } else { (false, "no content") }
}

/// Explicit message encryption (XEP-0380).
const ENCRYPTION: &str = "urn:xmpp:eme:0";

/// Payloads without which a conversation read again would miss something.
fn is_content(child: &Element) -> bool {
    match child.ns() {
        ns::CLIENT => child.name() == "body",
        ns::RECEIPTS => child.name() == "received",
        ns::CHAT_MARKERS => child.name() != "markable",
        ns::RETRACT
        | ns::REACTIONS
        | ns::SFS
        | ns::JINGLE_MESSAGE
        | ns::CALL_INVITES
        | ns::MEET
        | ns::DIRECT_INVITE => true,
        ns::MUC_USER => child.child("invite", ns::MUC_USER).is_some(),
        _ => child.name() == "encrypted",
    }
}

/// Whether the owner wants messages with `contact` kept (XEP-0441, section 4).
pub(super) fn is_wanted(
    prefs: Option<&ArchivePrefs>,
    default: ArchivePolicy,
    contact: &Jid,
    in_roster: bool,
) -> (bool, &'static str) {
    if let Some(prefs) = prefs {
        // A full JID on a list is more specific than its bare JID.
        for jid in [contact.as_str(), contact.bare_str()] {
            let listed = |list: &[String]| list.iter().any(|entry| entry == jid);
            if listed(&prefs.never) {
                return (false, "on the never list");
            }
            if listed(&prefs.always) {
                return (true, "on the always list");
            }
        }
    }
    let default = prefs.map_or(default, |prefs| match prefs.default {
        ArchiveDefault::Always => ArchivePolicy::Always,
        ArchiveDefault::Never => ArchivePolicy::Never,
        ArchiveDefault::Roster => ArchivePolicy::Roster,
    });
    match default {
        ArchivePolicy::Always => (true, "always"),
        ArchivePolicy::Never => (false, "never"),
        ArchivePolicy::Roster => (in_roster, "contacts only"),
    }
}

/// What full-text search finds a message by; nothing of encrypted ones, whose body is a notice.
pub fn searchable_text(message: &Stanza) -> Option<String> {
    if message.children().any(|child| child.name() == "encrypted" || child.ns() == ENCRYPTION) {
        return None;
    }
    message.body().filter(|body| !body.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archivable(attributes: &str, children: &str) -> bool {
        let text = format!("<message xmlns='jabber:client' {attributes}>{children}</message>");
        is_archivable(&Stanza::from_element(text.parse().unwrap()).unwrap()).0
    }

    #[test]
    fn conversations_are_kept_and_chatter_is_not() {
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        assert!(archivable("type='chat'", "<body>x</body>"));
        assert!(archivable("", "<body>x</body>"));
        assert!(!archivable("type='chat'", typing));
        assert!(!archivable("type='headline'", "<body>x</body>"));
        assert!(!archivable("type='groupchat'", "<body>x</body>"));
        assert!(archivable("", "<received xmlns='urn:xmpp:receipts' id='1'/>"));
        assert!(!archivable("", "<request xmlns='urn:xmpp:receipts'/>"));
        assert!(archivable("", "<encrypted xmlns='eu.siacs.conversations.axolotl'/>"));
        let hint = |name: &str| format!("<body>x</body><{name} xmlns='urn:xmpp:hints'/>");
        assert!(!archivable("", &hint("no-store")));
        assert!(!archivable("", &hint("no-permanent-store")));
        assert!(archivable("type='chat'", &format!("{typing}<store xmlns='urn:xmpp:hints'/>")));
    }

    #[test]
    fn the_more_specific_preference_wins() {
        let prefs = ArchivePrefs {
            default: ArchiveDefault::Roster,
            always: vec!["a@b".into()],
            never: vec!["a@b/c".into()],
        };
        let wanted = |jid: &str, in_roster| {
            is_wanted(Some(&prefs), ArchivePolicy::Never, &jid.parse().unwrap(), in_roster).0
        };
        assert!(!wanted("a@b/c", true));
        assert!(wanted("a@b/d", false));
        assert!(wanted("x@y", true));
        assert!(!wanted("x@y", false));
        assert!(is_wanted(None, ArchivePolicy::Always, &"x@y".parse().unwrap(), false).0);
    }
}
