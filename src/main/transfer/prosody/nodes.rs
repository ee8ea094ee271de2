//! What accounts of Prosody publish (mod_pep): a table of nodes, and a store with the items of each.

use anyhow::Context;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::Host;
use super::lua::{Table, Value};
use crate::transfer::eventing;
use crate::transfer::importer::Importer;

/// What names of stores with items begin with; the name of the node follows.
pub const ITEMS: &str = "pep_";

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
    for (name, node) in stored.named() {
        let unconfigured = Table::default();
        let parts = description(name, node.table().unwrap_or(&unconfigured));
        eventing::import_nodes(importer, &eventing::owned(parts)).await?;
        items(importer, host, user, name).await?;
    }
    Ok(())
}

async fn items(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    user: &str,
    node: &str,
) -> anyhow::Result<()> {
    let store = format!("{ITEMS}{node}");
    let Some(mut items) = importer.read(host.storage.items(host.name, Some(user), &store)) else {
        return Ok(());
    };
    while let Some(item) = items.next().await {
        let item = item.and_then(|item| {
            let key = item.key.with_context(|| format!("an item of {node} without an id"))?;
            Ok((key, item.stanza))
        });
        if let Some((key, payload)) = importer.read(item) {
            eventing::import_item(importer, node, &key, Some(&payload)).await?;
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
