//! What accounts of Prosody publish (mod_pep), and its PubSub services (mod_pubsub): a description of each node, and a
//! store with its items.

use anyhow::Context;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::Host;
use super::lua::{Table, Value};
use crate::transfer::eventing::{self, Item};
use crate::transfer::importer::Importer;

/// The store with the descriptions of a service's nodes.
pub const OF_SERVICE: &str = "pubsub_nodes";
/// What names of stores with items begin with; the name of the node follows.
pub const ITEMS: [&str; 2] = [ITEMS_OF_USER, ITEMS_OF_SERVICE];
const ITEMS_OF_USER: &str = "pep_";
const ITEMS_OF_SERVICE: &str = "pubsub_";

/// What Prosody calls a field, and what XEP-0060 calls it after `pubsub#`.
const FIELDS: [(&str, &str); 11] = [
    ("title", "title"),
    ("description", "description"),
    ("payload_type", "type"),
    ("max_items", "max_items"),
    ("persist_items", "persist_items"),
    ("access_model", "access_model"),
    ("publish_model", "publish_model"),
    ("send_last_published_item", "send_last_published_item"),
    ("include_payload", "deliver_payloads"),
    ("notify_delete", "notify_delete"),
    ("notify_retract", "notify_retract"),
];

pub async fn import(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    user: &str,
    stored: &Table,
) -> anyhow::Result<()> {
    for (name, stored) in stored.named() {
        let unconfigured = Table::default();
        node(importer, name, stored.table().unwrap_or(&unconfigured)).await?;
        items(importer, host, Some(user), name, ITEMS_OF_USER).await?;
    }
    Ok(())
}

/// The nodes of a service, which Prosody counts among its hosts.
pub async fn import_service(importer: &mut Importer<'_>, host: &Host<'_>) -> anyhow::Result<()> {
    let nodes = host.users(importer, OF_SERVICE).await;
    if nodes.is_empty() || !importer.begin_service(host.name) {
        return Ok(());
    }
    for name in nodes {
        let Some(stored) = host.table(importer, Some(&name), OF_SERVICE).await else { continue };
        node(importer, &name, &stored).await?;
        items(importer, host, None, &name, ITEMS_OF_SERVICE).await?;
    }
    importer.end().await
}

async fn node(importer: &mut Importer<'_>, name: &str, stored: &Table) -> anyhow::Result<()> {
    eventing::import_nodes(importer, &eventing::owned(description(name, stored))).await
}

async fn items(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    user: Option<&str>,
    node: &str,
    prefix: &str,
) -> anyhow::Result<()> {
    let store = format!("{prefix}{node}");
    let Some(mut items) = importer.read(host.storage.items(host.name, user, &store)) else {
        return Ok(());
    };
    while let Some(item) = items.next().await {
        let item = item.and_then(|item| {
            let key = item.key.with_context(|| format!("an item of {node} without an id"))?;
            Ok((key, item.with, item.stanza))
        });
        if let Some((id, publisher, payload)) = importer.read(item) {
            let (publisher, payload) = (publisher.as_deref(), Some(&payload));
            eventing::import_item(importer, &Item { node, id: &id, publisher, payload }).await?;
        }
    }
    Ok(())
}

/// What owners see of a node (XEP-0227, section 4.8.1).
fn description(name: &str, stored: &Table) -> Vec<Element> {
    let part = |kind: &'static str| Element::new(kind, ns::PUBSUB_OWNER).with_attr("node", name);
    let within = |field: &str| stored.get(field).and_then(Value::table);
    let unconfigured = Table::default();
    let options = options(within("config").unwrap_or(&unconfigured));
    let mut parts = vec![eventing::configuration(name, options)];
    let affiliations = within("affiliations").into_iter().flat_map(Table::named);
    let affiliations = affiliations.filter_map(|(jid, affiliation)| {
        Some(
            Element::new("affiliation", ns::PUBSUB_OWNER)
                .with_attr("jid", jid)
                .with_attr("affiliation", affiliation.text()?),
        )
    });
    parts.push(part("affiliations").with_children(affiliations));
    let subscribers = within("subscribers").into_iter().flat_map(Table::named);
    let subscriptions = subscribers.map(|(jid, _)| {
        Element::new("subscription", ns::PUBSUB_OWNER)
            .with_attr("jid", jid)
            .with_attr("subscription", "subscribed")
    });
    parts.push(part("subscriptions").with_children(subscriptions));
    parts
}

/// The settings that both know.
fn options(config: &Table) -> impl Iterator<Item = (String, String)> {
    FIELDS.into_iter().filter_map(|(theirs, ours)| {
        let value = match config.get(theirs)? {
            Value::Text(text) => text.clone(),
            Value::Boolean(boolean) => u8::from(*boolean).to_string(),
            Value::Number(number) => number.to_string(),
            Value::Nil | Value::Table(_) => return None,
        };
        Some((ours.to_owned(), value))
    })
}
