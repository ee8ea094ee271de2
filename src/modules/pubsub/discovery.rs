//! What service discovery tells of hosts and nodes (XEP-0060, sections 5.1 to 5.5).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, Identity};

use super::PubSub;
use super::features;
use super::host::{Call, Host, Node};
use super::policy;
use super::refusals::Refusal;

/// Items of a node that are listed.
const MAX_LISTED: u32 = 1000;
/// Nodes of the service that are listed.
const MAX_NODES: u32 = 1000;

#[async_trait]
impl Discovery for PubSub {
    async fn info(&self, _kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        // XEP-0163, section 6.1 asks the account; XEP-0223, section 5 asks its server.
        if query.scope != IqScope::Service {
            info.identities.push(Identity::new("pubsub", "pep", None));
        }
    }

    async fn node(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<DiscoInfo> {
        let name = query.node.as_deref()?;
        let host = self.host(query)?;
        let call = Call { kernel, host: &host, from: &query.from };
        let node = visible(&call, name).await?;
        Some(DiscoInfo {
            identities: vec![Identity::new("pubsub", "leaf", title(&node).as_deref())],
            features: features::of_node(&host),
            forms: vec![metadata(&node)],
            ..DiscoInfo::default()
        })
    }

    async fn items(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<Vec<DiscoItem>> {
        // The nodes of the service are told by the service itself.
        if query.node.is_none() && query.scope != IqScope::Account {
            return None;
        }
        let host = self.host(query)?;
        let call = Call { kernel, host: &host, from: &query.from };
        match query.node.as_deref() {
            None => nodes(&call).await.ok(),
            Some(name) => items(&call, name).await,
        }
    }
}

impl PubSub {
    fn host(&self, query: &DiscoQuery) -> Option<Host> {
        match query.scope {
            IqScope::Account => Some(Host::Account(query.to.clone())),
            IqScope::Host => None,
            IqScope::Service => self.is_service(&query.to).then(|| Host::Service(query.to.clone())),
        }
    }
}

/// The nodes that the asker may read.
pub(super) async fn nodes(call: &Call<'_>) -> Result<Vec<DiscoItem>, Refusal> {
    let address = call.host.address();
    let rows = call.kernel.store.pubsub.nodes(address.as_str(), "", MAX_NODES).await?;
    let mut items = Vec::new();
    let mut viewer = call.viewer().await?;
    for row in rows {
        let node = call.host.read(call.kernel, row);
        let standing = call.standing_in(&mut viewer, &node).await?;
        if policy::may_read(&node.config, &standing).is_ok() {
            items.push(DiscoItem {
                jid: address.clone().into(),
                node: Some(node.name().to_owned()),
                name: title(&node),
            });
        }
    }
    Ok(items)
}

/// Section 5.5: the ids of the items, as names.
async fn items(call: &Call<'_>, name: &str) -> Option<Vec<DiscoItem>> {
    let node = visible(call, name).await?;
    let ids = call.kernel.store.pubsub.item_ids(node.row.id, MAX_LISTED).await.ok()?;
    let address = call.host.address();
    let item = |id| DiscoItem { jid: address.clone().into(), node: None, name: Some(id) };
    Some(ids.into_iter().map(item).collect())
}

/// The node, if the asker may know of it: those that may be joined by asking are no secret.
async fn visible(call: &Call<'_>, name: &str) -> Option<Node> {
    let node = call.find(name).await.ok()??;
    let standing = call.standing(&node).await.ok()?;
    match policy::may_read(&node.config, &standing) {
        Ok(()) | Err(Refusal::NotSubscribed) => Some(node),
        Err(_) => None,
    }
}

fn title(node: &Node) -> Option<String> {
    Some(node.config.title.clone()).filter(|title| !title.is_empty())
}

/// Section 5.4.
fn metadata(node: &Node) -> DataForm {
    let config = &node.config;
    let field = |name: &str, label: &str, value: &str| {
        Field::text_single(format!("pubsub#{name}"), label).with_value(value)
    };
    DataForm::typed(FormKind::Result, "http://jabber.org/protocol/pubsub#meta-data")
        .with(field("title", "A short name", &config.title))
        .with(field("description", "What it is about", &config.description))
        .with(field("type", "Namespace of the payloads", &config.payload_type))
        .with(field("access_model", "Who may read", config.access.value()))
        .with(field("publish_model", "Who may publish", config.publish.value()))
        .with(Field::jid_single("pubsub#creator", "Who made it").with_value(&node.row.creator))
        .with(field("creation_date", "When it was made", &node.row.created.to_string()))
}
