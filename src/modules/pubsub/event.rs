//! What follows from a request for others.

use wello_store::{PubSubItem, SubscriptionState};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::config::NodeConfig;
use super::host::Node;

pub(crate) const APPROVAL_FORM_TYPE: &str =
    "http://jabber.org/protocol/pubsub#subscribe_authorization";

/// Something that is told to others once its cause is stored.
#[derive(Debug)]
pub(crate) enum Event {
    /// To all who get the node's events.
    Node { node: Node, what: Change },
    /// The same, to those who got its events before it was deleted.
    Deleted { to: Vec<Jid>, node: Node, redirect: Option<String> },
    /// To one subscriber.
    Subscription { node: Node, jid: Jid, state: Option<SubscriptionState> },
    /// To owners: may the entity subscribe?
    Approval { node: Node, owners: Vec<BareJid>, jid: Jid },
    /// The node's last item, to a new subscriber.
    LastItem { node: Node, jid: Jid },
}

#[derive(Debug)]
pub(crate) enum Change {
    /// The item, and those that had to go for it. Without an id where nothing is kept.
    Published {
        item: Option<PubSubItem>,
        gone: Vec<String>,
    },
    Retracted(Vec<String>),
    Purged,
    Configured,
}

/// The answer to a request, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Option<Element>,
    pub(crate) events: Vec<Event>,
}

impl Outcome {
    pub(crate) fn answer(answer: Element) -> Outcome {
        Outcome { answer: Some(answer), events: Vec::new() }
    }

    pub(crate) fn of(events: Vec<Event>) -> Outcome {
        Outcome { answer: None, events }
    }
}

/// The parts of `<event/>` for a change, each in a message of its own.
pub(crate) fn parts(node: &Node, change: &Change) -> Vec<Element> {
    let named = |name: &str| Element::new(name, ns::PUBSUB_EVENT).with_attr("node", node.name());
    let retracted = |ids: &[String]| {
        let retracts = ids
            .iter()
            .map(|id| Element::new("retract", ns::PUBSUB_EVENT).with_attr("id", id.as_str()));
        named("items").with_children(retracts)
    };
    match change {
        Change::Published { item, gone } => {
            let item = item.as_ref().map(|item| item_element(item, &node.config, ns::PUBSUB_EVENT));
            let mut parts = vec![named("items").with_children(item)];
            if !gone.is_empty() {
                parts.push(retracted(gone));
            }
            parts
        }
        Change::Retracted(ids) => vec![retracted(ids)],
        Change::Purged => vec![named("purge")],
        Change::Configured => {
            let form = node.config.deliver_payloads.then(|| node.config.result().to_element());
            vec![named("configuration").with_children(form)]
        }
    }
}

fn item_element(item: &PubSubItem, config: &NodeConfig, ns: &'static str) -> Element {
    let payload = item.payload.as_deref().filter(|_| config.deliver_payloads);
    Element::new("item", ns)
        .with_attr("id", item.id.as_str())
        .with_children(payload.and_then(parse))
}

/// A stored item as it stands in an answer.
pub(crate) fn stored_item(item: &PubSubItem) -> Element {
    let payload = item.payload.as_deref().and_then(parse);
    Element::new("item", ns::PUBSUB).with_attr("id", item.id.as_str()).with_children(payload)
}

pub(crate) fn parse(xml: &[u8]) -> Option<Element> {
    std::str::from_utf8(xml).ok()?.parse().ok()
}

pub(crate) fn subscription(
    ns: &'static str,
    node: &str,
    jid: &str,
    state: Option<SubscriptionState>,
) -> Element {
    let state = state.map_or("none", SubscriptionState::as_str);
    Element::new("subscription", ns)
        .with_attr("node", node)
        .with_attr("jid", jid)
        .with_attr("subscription", state)
}

/// XEP-0060, section 8.6.
pub(crate) fn approval_form(node: &str, jid: &Jid) -> DataForm {
    DataForm::typed(FormKind::Form, APPROVAL_FORM_TYPE)
        .with_title("Request for a subscription")
        .with(Field::text_single("pubsub#node", "Node").with_value(node))
        .with(Field::jid_single("pubsub#subscriber_jid", "Subscriber").with_value(jid.as_str()))
        .with(Field::boolean("pubsub#allow", "Allow this subscription?").with_boolean(false))
}
