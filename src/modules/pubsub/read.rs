//! What entities ask for: items, and what they are to nodes (XEP-0060, sections 5.6, 5.7 and 6.5).

use wello_store::{Affiliation, ItemPage, Items};
use wello_wire::ns;
use wello_wire::payload::rsm::{PageBounds, PageRequest, PageResult};
use wello_wire::xml::Element;

use super::event::{Outcome, stored_item, subscription};
use super::host::{Call, pubsub};
use super::policy;
use super::refusals::Refusal;
use super::request::ItemsRequest;

/// Bytes of payloads in one answer; what is left can be had by paging (XEP-0059).
const MAX_ANSWER: usize = 512 * 1024;

pub(crate) async fn items(call: &Call<'_>, asked: ItemsRequest) -> Result<Outcome, Refusal> {
    let node = call.node(&asked.node).await?;
    policy::may_read(&node.config, &call.standing(&node).await?)?;
    if !node.config.persist {
        return Err(Refusal::Unsupported("persistent-items"));
    }
    let store = &call.kernel.store.pubsub;
    let list = Element::new("items", ns::PUBSUB).with_attr("node", asked.node.as_str());
    if !asked.ids.is_empty() {
        let found = store.items_by_id(node.row.id, &asked.ids, MAX_ANSWER).await?;
        return Ok(Outcome::answer(pubsub(list.with_children(found.iter().map(stored_item)))));
    }
    let page = page(&asked, call.kernel.config.pubsub.items)?;
    let found = store.items(node.row.id, &page).await?;
    let found = found.ok_or(Refusal::NotFound("no such item to begin with"))?;
    let list = list.with_children(found.items.iter().map(stored_item));
    let set = result_set(&asked, &found);
    Ok(Outcome::answer(pubsub(list).with_children(set)))
}

fn page(asked: &ItemsRequest, most: u64) -> Result<ItemPage, Refusal> {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let all = ItemPage { max: most, max_bytes: MAX_ANSWER, ..ItemPage::default() };
    Ok(match (&asked.page, asked.newest) {
        (Some(set), _) => {
            let PageRequest { max, after, before, backwards, index } = set.clone();
            let skip = index.unwrap_or_default();
            ItemPage { max: max.unwrap_or(most).min(most), after, before, backwards, skip, ..all }
        }
        (None, Some(newest)) => ItemPage { max: newest.min(most), backwards: true, ..all },
        (None, None) => all,
    })
}

/// Section 6.5.4: for those who page, and where not all fits.
fn result_set(asked: &ItemsRequest, found: &Items) -> Option<Element> {
    let complete = found.items.len() as u64 == found.count;
    if asked.page.is_none() && (complete || asked.newest.is_some()) {
        return None;
    }
    let bounds = match (found.items.first(), found.items.last()) {
        (Some(first), Some(last)) => Some(PageBounds {
            first: first.id.clone(),
            index: u32::try_from(found.index).ok(),
            last: last.id.clone(),
        }),
        _ => None,
    };
    Some(PageResult { bounds, count: u32::try_from(found.count).ok() }.to_element())
}

pub(crate) async fn subscriptions(call: &Call<'_>, node: Option<&str>) -> Result<Outcome, Refusal> {
    let service = call.host.address().as_str();
    let store = &call.kernel.store.pubsub;
    let all = store.subscriptions_of(service, call.from.bare_str(), call.now()).await?;
    if let Some(node) = node {
        call.node(node).await?;
    }
    let wanted = all.iter().filter(|(name, _)| node.is_none_or(|node| node == name));
    let elements =
        wanted.map(|(name, own)| subscription(ns::PUBSUB, name, &own.jid, Some(own.state)));
    let list = Element::new("subscriptions", ns::PUBSUB).with_attr_opt("node", node);
    Ok(Outcome::answer(pubsub(list.with_children(elements))))
}

pub(crate) async fn affiliations(call: &Call<'_>, node: Option<&str>) -> Result<Outcome, Refusal> {
    let store = &call.kernel.store.pubsub;
    let service = call.host.address().as_str();
    let own: Vec<(String, Affiliation)> = if call.is_account_owner() {
        let nodes = store.nodes(service, "", u32::MAX).await?;
        nodes.into_iter().map(|node| (node.name, Affiliation::Owner)).collect()
    } else {
        store.affiliations_of(service, call.from.bare_str()).await?
    };
    if let Some(node) = node {
        call.node(node).await?;
    }
    let wanted = own.iter().filter(|(name, _)| node.is_none_or(|node| node == name));
    let elements = wanted.map(|(name, affiliation)| {
        Element::new("affiliation", ns::PUBSUB)
            .with_attr("node", name.as_str())
            .with_attr("affiliation", affiliation.as_str())
    });
    let list = Element::new("affiliations", ns::PUBSUB).with_attr_opt("node", node);
    Ok(Outcome::answer(pubsub(list.with_children(elements))))
}
