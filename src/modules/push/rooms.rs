//! What a user wants to be woken for in a room: by the settings in the bookmark (XEP-0492), by
//! mentions, and by what kind of room it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_store::Timestamp;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::policy::is_mention;
use crate::pubsub::PubSub;
use crate::pubsub::own::Own;

/// Something that was said in a room here.
pub(crate) struct Said {
    pub(crate) room: BareJid,
    /// As occupants get it.
    pub(crate) stanza: Stanza,
    /// Closed and not listed: a group of people who know each other.
    pub(crate) private: bool,
    /// Accounts here that may not have seen it.
    pub(crate) absent: Vec<Absent>,
}

pub(crate) struct Absent {
    pub(crate) account: BareJid,
    /// A device of it has joined, and its session hibernates; otherwise it is a member and has not joined.
    pub(crate) inside: bool,
    /// Its nickname, or the one that is kept for it.
    pub(crate) nick: Option<String>,
    /// By something better than words.
    pub(crate) mentioned: bool,
}

/// What is known of a room from somebody's bookmarks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bookmark {
    notify: Option<Notify>,
    autojoin: bool,
    nick: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notify {
    Always,
    OnMention,
    Never,
}

/// Of accounts and rooms, with the time until which they are believed.
#[derive(Default)]
pub(super) struct Bookmarks(Mutex<HashMap<(BareJid, BareJid), (Timestamp, Bookmark)>>);

/// More than these are forgotten together.
const MAX_KNOWN: usize = 50_000;
/// A room that is busy does not have bookmarks read for each message; a changed setting holds
/// after this time at the latest.
const BELIEVED: Duration = Duration::from_secs(60);

impl Bookmarks {
    pub(super) async fn of(
        &self,
        kernel: &Arc<Kernel>,
        pubsub: &PubSub,
        account: &BareJid,
        room: &BareJid,
    ) -> Bookmark {
        let now = kernel.clock.now();
        let key = (account.clone(), room.clone());
        if let Some((until, known)) = self.0.lock().get(&key)
            && now < *until
        {
            return known.clone();
        }
        let bookmark = read(kernel, pubsub, account, room).await;
        let mut known = self.0.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, (now.saturating_add(BELIEVED), bookmark.clone()));
        bookmark
    }
}

async fn read(
    kernel: &Arc<Kernel>,
    pubsub: &PubSub,
    account: &BareJid,
    room: &BareJid,
) -> Bookmark {
    let own = Own::of(pubsub, kernel, account);
    let Ok(Some(node)) = own.node(ns::BOOKMARKS).await else { return Bookmark::default() };
    let item = own.item(&node, room.as_str()).await.ok().flatten();
    item.map(|item| Bookmark::parse(&item.payload)).unwrap_or_default()
}

impl Bookmark {
    fn parse(conference: &Element) -> Bookmark {
        let extensions = conference.child("extensions", ns::BOOKMARKS);
        let notify = extensions.and_then(|found| found.child("notify", ns::NOTIFICATION_SETTINGS));
        let nick = conference.child("nick", ns::BOOKMARKS).map(|nick| nick.text().into_owned());
        Bookmark {
            notify: notify.and_then(setting),
            autojoin: matches!(conference.attr("autojoin"), Some("true" | "1")),
            nick: nick.filter(|nick| !nick.is_empty()),
        }
    }
}

/// XEP-0492, section 5: the setting for phones, or for clients, or the one for all.
fn setting(notify: &Element) -> Option<Notify> {
    let of = |category: Option<&str>, type_: Option<&str>| {
        let mut fit = notify.children().filter(|child| {
            child.attr("identity-category") == category && child.attr("identity-type") == type_
        });
        fit.find_map(|child| match child.name() {
            "always" => Some(Notify::Always),
            "on-mention" => Some(Notify::OnMention),
            "never" => Some(Notify::Never),
            _ => None,
        })
    };
    of(Some("client"), Some("phone"))
        .or_else(|| of(Some("client"), None))
        .or_else(|| of(None, None))
}

/// Whether a member who has not joined is woken.
pub(super) fn is_woken_absent(
    bookmark: &Bookmark,
    private: bool,
    mentioned: bool,
) -> (bool, &'static str) {
    match bookmark.notify {
        Some(Notify::Never) => (false, "never"),
        Some(Notify::Always) => (true, "always"),
        _ if mentioned => (true, "mentioned"),
        Some(Notify::OnMention) => (false, "not mentioned"),
        // Who keeps a group but is not in it now is away; others have left it to itself.
        None => (private && bookmark.autojoin, "no setting"),
    }
}

/// Whether a device that is in the room, and away, is woken. It was told before there were settings.
pub(super) fn is_woken_inside(bookmark: &Bookmark, mentioned: bool) -> bool {
    match bookmark.notify {
        Some(Notify::Never) => false,
        Some(Notify::OnMention) => mentioned,
        Some(Notify::Always) | None => true,
    }
}

/// By words, or by an element that names it.
pub(super) fn is_mentioned(
    stanza: &Stanza,
    account: &BareJid,
    bookmark: &Bookmark,
    reserved: Option<&str>,
) -> bool {
    let nicks = [reserved, bookmark.nick.as_deref(), account.local()];
    let body = stanza.body().unwrap_or_default();
    nicks.into_iter().flatten().any(|nick| names(&body, nick))
}

/// By an element, seen from somebody who may be meant by an id that only the room knows.
pub(super) fn is_marked(stanza: &Stanza, account: &BareJid, bookmark: &Bookmark) -> bool {
    stanza.children().filter(|child| is_mention(child)).any(|mention| {
        let uri = mention.attr("uri").and_then(|uri| uri.strip_prefix("xmpp:"));
        let jid = uri.and_then(|uri| uri.split('?').next()?.parse::<Jid>().ok());
        jid.is_none_or(|jid| {
            jid.bare_str() == account.as_str() || jid.resource() == bookmark.nick.as_deref()
        })
    })
}

/// Whether a text has a name in it as a word, in whatever case.
fn names(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    if name.is_empty() {
        return false;
    }
    text.match_indices(&name).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// The room that a message comes from, if it is one of everybody's.
pub(super) fn room_of(stanza: &Stanza) -> Option<BareJid> {
    let is_groupchat = stanza.message_type() == MessageType::Groupchat;
    stanza.from.as_ref().filter(|_| is_groupchat).map(|from| from.bare())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bookmark(autojoin: bool, notify: &str) -> Bookmark {
        let text = format!(
            "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='{autojoin}'><nick>JC</nick>\
             <extensions><notify xmlns='urn:xmpp:notification-settings:1'>{notify}</notify>\
             </extensions></conference>"
        );
        Bookmark::parse(&text.parse().unwrap())
    }

    #[test]
    fn settings_are_those_for_phones_or_for_all() {
        let of = |notify: &str| bookmark(true, notify).notify;
        assert_eq!(of(""), None);
        assert_eq!(of("<never/>"), Some(Notify::Never));
        assert_eq!(of("<other/><always/>"), Some(Notify::Always));
        let pc = "<never identity-category='client' identity-type='pc'/>";
        let phone = "<always identity-category='client' identity-type='phone'/>";
        assert_eq!(of(pc), None);
        assert_eq!(of(&format!("{pc}<on-mention/>")), Some(Notify::OnMention));
        assert_eq!(of(&format!("<never/>{phone}")), Some(Notify::Always));
        let client = "<on-mention identity-category='client'/>";
        assert_eq!(of(&format!("<never/>{client}")), Some(Notify::OnMention));
        assert_eq!(of(&format!("{client}{phone}")), Some(Notify::Always));
        let plain: Element = "<conference xmlns='urn:xmpp:bookmarks:1'/>".parse().unwrap();
        assert_eq!(Bookmark::parse(&plain), Bookmark::default());
    }

    #[test]
    fn who_has_not_joined_is_woken_for_what_concerns_it() {
        let (always, mention, never) = ("<always/>", "<on-mention/>", "<never/>");
        for (autojoin, notify, private, mentioned, expected) in [
            (false, always, false, false, true),
            (true, mention, true, false, false),
            (true, mention, false, true, true),
            (true, never, true, true, false),
            (true, "", true, false, true),
            (false, "", true, false, false),
            (true, "", false, false, false),
            (false, "", false, true, true),
        ] {
            let woken = is_woken_absent(&bookmark(autojoin, notify), private, mentioned).0;
            assert_eq!(woken, expected, "{autojoin} {notify} {private} {mentioned}");
        }
        for (notify, mentioned, expected) in [
            ("", false, true),
            (always, false, true),
            (mention, false, false),
            (mention, true, true),
            (never, true, false),
        ] {
            let woken = is_woken_inside(&bookmark(true, notify), mentioned);
            assert_eq!(woken, expected, "{notify} {mentioned}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_names_or_not(text: String, name: String) {
            names(&text, &name);
            names(&format!("{text}{name}{text}"), &name);
        }
    }

    #[test]
    fn names_are_words() {
        for (text, name, expected) in [
            ("Hi Romeo!", "romeo", true),
            ("romeo: there?", "Romeo", true),
            ("@romeo", "romeo", true),
            ("romeos", "romeo", false),
            ("aromeo", "romeo", false),
            ("aromeo romeo", "romeo", true),
            ("straße", "STRASSE", false),
            ("über Ünal", "ünal", true),
            ("x", "", false),
        ] {
            assert_eq!(names(text, name), expected, "{text} {name}");
        }
    }
}
