//! Publishing and removing items (XEP-0060, section 7).

use wello_kernel::clock::random_id;
use wello_store::{PubSubItem, Publication, Room};
use wello_wire::ns;
use wello_wire::payload::data_form::DataForm;
use wello_wire::xml::Element;

use super::config::{NodeConfig, NodeFull};
use super::event::{Change, Event, Outcome};
use super::host::{Call, Host, Node, limits, pubsub};
use super::policy;
use super::refusals::Refusal;
use super::request::ItemRequest;

pub(crate) async fn publish(
    call: &Call<'_>,
    name: &str,
    item: Option<ItemRequest>,
    options: Option<&DataForm>,
) -> Result<Outcome, Refusal> {
    let node = target(call, name, item.as_ref(), options).await?;
    let config = &node.config;
    let Some(item) = item else {
        let what = Change::Published { item: None, gone: Vec::new() };
        return Ok(Outcome::of(vec![Event::Node { node, what }]));
    };
    let given = item.id.is_some();
    let item = PubSubItem {
        id: item.id.unwrap_or_else(random_id),
        publisher: call.who().to_string(),
        time: call.kernel.clock.now(),
        payload: item.payloads.first().map(|payload| payload.to_string().into()),
    };
    let gone = if config.persist { store(call, &node, &item).await? } else { Vec::new() };
    let shown = Element::new("item", ns::PUBSUB).with_attr("id", item.id.as_str());
    let answer = Element::new("publish", ns::PUBSUB).with_attr("node", name).with_child(shown);
    // Section 7.1.2: who gave no id learns it.
    let answer = (!given || matches!(call.host, Host::Service(_))).then(|| pubsub(answer));
    let tells = config.notify_retract && config.full == NodeFull::RetractOldest;
    let gone = if tells { gone } else { Vec::new() };
    let what = Change::Published { item: Some(item), gone };
    Ok(Outcome { answer, events: vec![Event::Node { node, what }] })
}

/// The node, which is made if its account publishes to it for the first time.
async fn target(
    call: &Call<'_>,
    name: &str,
    item: Option<&ItemRequest>,
    options: Option<&DataForm>,
) -> Result<Node, Refusal> {
    let fits = |config: &NodeConfig| {
        let payloads = item.map(|item| item.payloads.as_slice());
        policy::check_item(config, payloads, limits(call.kernel).item_bytes)
    };
    let mut found = call.find(name).await?;
    if found.is_none() {
        match call.host {
            Host::Service(_) => return Err(Refusal::NotFound("no such node")),
            Host::Account(_) if !call.is_account_owner() => {
                return Err(Refusal::Forbidden("only for the account's owner"));
            }
            Host::Account(_) => {}
        }
        let mut config = call.host.defaults(call.kernel, name);
        if let Some(options) = options {
            config.apply_options(options, limits(call.kernel))?;
        }
        fits(&config)?;
        match call.create(name, config).await {
            Ok(node) => return Ok(node),
            // Another client of the account was faster.
            Err(Refusal::Conflict) => found = call.find(name).await?,
            Err(refusal) => return Err(refusal),
        }
    }
    let node = found.ok_or(Refusal::NotFound("no such node"))?;
    policy::may_publish(&node.config, &call.standing(&node).await?)?;
    if let Some(field) = options.and_then(|options| node.config.unmet(options)) {
        return Err(Refusal::PreconditionNotMet(field));
    }
    fits(&node.config)?;
    Ok(node)
}

async fn store(call: &Call<'_>, node: &Node, item: &PubSubItem) -> Result<Vec<String>, Refusal> {
    let pubsub = &call.kernel.store.pubsub;
    if node.config.publish != super::config::PublishModel::Publishers
        || matches!(call.host, Host::Service(_))
    {
        may_replace(call, node, &item.id).await?;
    }
    let room = Room {
        items: node.config.max_items.limited(call.kernel.config.pubsub.items),
        reject: node.config.full == NodeFull::Reject,
        bytes: call.kernel.config.pubsub.bytes,
    };
    match pubsub.publish(node.row.id, item, room).await? {
        Publication::Stored(gone) => Ok(gone),
        Publication::Full => Err(Refusal::NodeFull),
        Publication::TooMuch => Err(Refusal::NoRoom),
        Publication::NoNode => Err(Refusal::NotFound("the node was deleted")),
    }
}

/// To overwrite an item is to remove it: not what somebody else published.
async fn may_replace(call: &Call<'_>, node: &Node, id: &str) -> Result<(), Refusal> {
    let ids = [id.to_owned()];
    let before = call.kernel.store.pubsub.items_by_id(node.row.id, &ids, usize::MAX).await?;
    match before.first() {
        Some(before) => {
            let own = before.publisher == call.from.bare_str();
            policy::may_retract(&call.standing(node).await?, own)
        }
        None => Ok(()),
    }
}

pub(crate) async fn retract(
    call: &Call<'_>,
    name: &str,
    id: String,
    notify: bool,
) -> Result<Outcome, Refusal> {
    let node = call.node(name).await?;
    let standing = call.standing(&node).await?;
    let none = || Refusal::NotFound("no such item");
    if !node.config.persist {
        policy::may_retract(&standing, false)?;
        return Err(Refusal::Unsupported("persistent-items"));
    }
    let store = &call.kernel.store.pubsub;
    let found = store.items_by_id(node.row.id, std::slice::from_ref(&id), usize::MAX).await?;
    let own = found.first().is_some_and(|item| item.publisher == call.from.bare_str());
    // Before saying whether there is such an item.
    policy::may_retract(&standing, own)?;
    if found.is_empty() || !store.retract(node.row.id, &id).await? {
        return Err(none());
    }
    if !notify && !node.config.notify_retract {
        return Ok(Outcome::default());
    }
    let what = Change::Retracted(vec![id]);
    Ok(Outcome::of(vec![Event::Node { node, what }]))
}
