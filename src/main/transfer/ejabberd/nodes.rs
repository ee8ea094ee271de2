//! What an ejabberd keeps of nodes becomes what owners see of them (XEP-0227, section 4.8.1).

use wello_wire::ns;
use wello_wire::xml::Element;

use crate::transfer::eventing;

/// What somebody is to a node.
pub struct State {
    /// As it was subscribed; of who was not, the bare address.
    pub jid: String,
    pub affiliation: Option<&'static str>,
    pub subscriptions: Vec<&'static str>,
}

/// An affiliation by its name or the letter that stands for it.
pub fn affiliation(word: &str) -> Option<&'static str> {
    match word {
        "o" | "owner" => Some("owner"),
        "p" | "publisher" => Some("publisher"),
        "u" | "publish_only" => Some("publish-only"),
        "m" | "member" => Some("member"),
        "c" | "outcast" => Some("outcast"),
        _ => None,
    }
}

/// The same of a subscription.
pub fn subscription(word: &str) -> Option<&'static str> {
    match word {
        "s" | "subscribed" => Some("subscribed"),
        "p" | "pending" => Some("pending"),
        _ => None,
    }
}

/// A node with its settings, by their names without `pubsub#`, and those who have to do with it.
pub fn owned(
    name: &str,
    options: impl IntoIterator<Item = (String, String)>,
    states: &[State],
) -> Element {
    let part = |kind: &'static str| Element::new(kind, ns::PUBSUB_OWNER).with_attr("node", name);
    let child = |kind: &'static str, jid: &str, what: &'static str| {
        Element::new(kind, ns::PUBSUB_OWNER).with_attr("jid", jid).with_attr(kind, what)
    };
    let affiliations = states
        .iter()
        .filter_map(|state| Some(child("affiliation", &state.jid, state.affiliation?)));
    let subscriptions = states.iter().flat_map(|state| {
        state.subscriptions.iter().map(|what| child("subscription", &state.jid, what))
    });
    eventing::owned([
        eventing::configuration(name, options),
        part("affiliations").with_children(affiliations),
        part("subscriptions").with_children(subscriptions),
    ])
}
