//! `wello user moved`: says at an account where its owner is from now on (XEP-0283, section 4.1). Contacts
//! believe a request from the new address that names this one, because only who has both can make them agree.

use anyhow::{Context, bail};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_store::{NewNode, NodeCreation, PubSubItem, Publication, Room, Store};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};
use wello_wire::xml::Element;

const CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// What contacts ask for.
const ITEM: &str = "current";

/// Publishes the statement, or takes it back when there is no new address.
pub async fn state(
    config: &Config,
    store: &Store,
    old: &BareJid,
    new: Option<&BareJid>,
) -> anyhow::Result<()> {
    if store.accounts.find(old.as_str()).await?.is_none() {
        bail!("there is no account {old}");
    }
    let Some(new) = new else {
        if let Some(node) = store.pubsub.node(old.as_str(), ns::MOVED).await? {
            store.pubsub.delete_node(node.id).await?;
        }
        return Ok(());
    };
    // With nothing said, contacts alone may read a node of an account.
    let form = DataForm::typed(FormKind::Submit, CONFIG);
    let node = NewNode {
        service: old.to_string(),
        name: ns::MOVED.to_owned(),
        creator: old.to_string(),
        created: Clock::System.now(),
        config: form.to_element().to_string().into(),
        owner: None,
    };
    let node = match store.pubsub.create_node(&node, u64::MAX).await? {
        NodeCreation::Created(node) => node,
        _ => store.pubsub.node(old.as_str(), ns::MOVED).await?.context("the node was deleted")?,
    };
    let address = Element::new("new-jid", ns::MOVED).with_text(new.as_str());
    let statement = Element::new("moved", ns::MOVED).with_child(address);
    let item = PubSubItem {
        id: ITEM.to_owned(),
        publisher: old.to_string(),
        time: Clock::System.now(),
        payload: Some(statement.to_string().into()),
    };
    let room = Room { items: 1, reject: false, bytes: config.pubsub.bytes };
    match store.pubsub.publish(node.id, &item, room).await? {
        Publication::Stored(_) => Ok(()),
        _ => bail!("{old} has published too much"),
    }
}
