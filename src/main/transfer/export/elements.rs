//! What a file of XEP-0227 says of an account, element by element.

use wello_store::{Account, AccountStatus, ArchivePrefs, LastActivity, RosterItem, ScramKeys};
use wello_stream::sasl::{ScramHash, encoding};
use wello_wire::ns;
use wello_wire::xml::Element;

use crate::transfer::{NS_ACCOUNT, NS_PRIVACY};

/// The privacy list that says whom an account blocks.
const LIST: &str = "blocked";

pub fn profile(account: &Account, last: Option<&LastActivity>) -> Element {
    let status = Some(account.status).filter(|status| *status != AccountStatus::Active);
    Element::new("account", NS_ACCOUNT)
        .with_attr("role", account.role.as_str())
        .with_attr_opt("status", status.map(AccountStatus::as_str))
        .with_attr("created", account.created.to_string())
        .with_attr_opt("display-name", account.display_name.as_deref())
        .with_attr_opt("email", account.email.as_deref())
        .with_attr_opt("last-online", last.map(|last| last.at.to_string()))
        .with_attr_opt("last-status", last.and_then(|last| last.status.as_deref()))
}

/// Section 4.3. Of the keys for several ways to prepare a password the first is that of RFC 5802,
/// and others know no more than one.
pub fn scram(keys: &ScramKeys) -> Element {
    let hash = ScramHash::ALL.into_iter().find(|hash| hash.mechanism_name() == keys.mechanism);
    let length = hash.map_or(usize::MAX, ScramHash::output_len);
    let key = |name: &'static str, bytes: &[u8]| {
        let first = &bytes[..bytes.len().min(length)];
        Element::new(name, ns::PIE_SCRAM).with_text(encoding::encode(first))
    };
    Element::new("scram-credentials", ns::PIE_SCRAM)
        .with_attr("mechanism", keys.mechanism.as_str())
        .with_child(
            Element::new("iter-count", ns::PIE_SCRAM).with_text(keys.iterations.to_string()),
        )
        .with_child(Element::new("salt", ns::PIE_SCRAM).with_text(encoding::encode(&keys.salt)))
        .with_child(key("server-key", &keys.server_key))
        .with_child(key("stored-key", &keys.stored_key))
}

pub fn contact(item: &RosterItem) -> Element {
    let groups = item.groups.iter();
    let groups = groups.map(|group| Element::new("group", ns::ROSTER).with_text(group.as_str()));
    Element::new("item", ns::ROSTER)
        .with_attr("jid", item.jid.as_str())
        .with_attr_opt("name", item.name.as_deref())
        .with_attr("subscription", item.subscription.as_str())
        .with_attr_opt("ask", item.ask.then_some("subscribe"))
        .with_attr_opt("approved", item.approved.then_some("true"))
        .with_children(groups)
}

/// Section 4.7: blocking is written as a privacy list, which is what the specification knows.
pub fn privacy(blocked: &[String]) -> Element {
    let deny = |(order, jid): (usize, &String)| {
        Element::new("item", NS_PRIVACY)
            .with_attr("type", "jid")
            .with_attr("value", jid.as_str())
            .with_attr("action", "deny")
            .with_attr("order", (order + 1).to_string())
    };
    let others = Element::new("item", NS_PRIVACY)
        .with_attr("action", "allow")
        .with_attr("order", (blocked.len() + 1).to_string());
    let list = Element::new("list", NS_PRIVACY)
        .with_attr("name", LIST)
        .with_children(blocked.iter().enumerate().map(deny))
        .with_child(others);
    Element::new("query", NS_PRIVACY)
        .with_child(Element::new("default", NS_PRIVACY).with_attr("name", LIST))
        .with_child(list)
}

/// XEP-0441.
pub fn preferences(prefs: &ArchivePrefs) -> Element {
    let list = |name: &'static str, jids: &[String]| {
        let jids = jids.iter().map(|jid| Element::new("jid", ns::MAM).with_text(jid.as_str()));
        Element::new(name, ns::MAM).with_children(jids)
    };
    Element::new("prefs", ns::MAM)
        .with_attr("default", prefs.default.as_str())
        .with_child(list("always", &prefs.always))
        .with_child(list("never", &prefs.never))
}
