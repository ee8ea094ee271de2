//! Nodes of accounts (XEP-0163) in files of XEP-0227, section 4.8.

use anyhow::Context;
use wello_kernel::clock::Clock;
use wello_store::{
    ItemPage, NewNode, NodeCreation, NodeSubscription, PubSubItem, PubSubNode, Publication, Room,
    Store, SubscriptionOptions, SubscriptionState,
};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::importer::{Importer, readable};

const CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// Bytes of items read at once, and about those of one element.
const PAGE_BYTES: usize = 1024 * 1024;

/// Takes a `<pubsub/>` with what owners see of nodes.
pub async fn import_nodes(importer: &mut Importer<'_>, pubsub: &Element) -> anyhow::Result<()> {
    for part in pubsub.children() {
        let Some(name) = part.attr("node").filter(|name| !name.is_empty()) else {
            importer.skip("nodes without a name");
            continue;
        };
        match part.name() {
            "configure" => configure(importer, name, part).await?,
            "affiliations" => affiliations(importer, name, part).await?,
            "subscriptions" => subscriptions(importer, name, part).await?,
            _ => importer.skip(format!("<{}/> of a node", part.name())),
        }
    }
    Ok(())
}

/// Takes a `<pubsub/>` with the items of nodes.
pub async fn import_items(importer: &mut Importer<'_>, pubsub: &Element) -> anyhow::Result<()> {
    for items in pubsub.children().filter(|child| child.is("items", ns::PUBSUB)) {
        let Some(name) = items.attr("node").filter(|name| !name.is_empty()) else {
            importer.skip("nodes without a name");
            continue;
        };
        for item in items.children().filter(|child| child.is("item", ns::PUBSUB)) {
            match item.attr("id").filter(|id| !id.is_empty()) {
                Some(id) => import_item(importer, name, id, item.children().next()).await?,
                None => importer.skip("items without an id"),
            }
        }
    }
    Ok(())
}

/// Puts an item into a node, unless it is there.
pub async fn import_item(
    importer: &mut Importer<'_>,
    node: &str,
    id: &str,
    payload: Option<&Element>,
) -> anyhow::Result<()> {
    let account = importer.jid()?;
    let Some(node) = node_of(importer, node).await? else {
        importer.counts.items += 1;
        return Ok(());
    };
    let pubsub = &importer.store.pubsub;
    if !pubsub.items_by_id(node.id, &[id.to_owned()], 1).await?.is_empty() {
        importer.counts.repeated += 1;
        return Ok(());
    }
    if importer.dry_run {
        importer.counts.items += 1;
        return Ok(());
    }
    let payload = match payload.map(|payload| readable(payload.to_string().into_bytes())) {
        Some(None) => {
            importer.skip("items that are too large");
            return Ok(());
        }
        Some(payload) => payload,
        None => None,
    };
    let item =
        PubSubItem { id: id.to_owned(), publisher: account, time: Clock::System.now(), payload };
    let limits = &importer.config.pubsub;
    let room = Room { items: limits.items, reject: true, bytes: limits.bytes };
    match pubsub.publish(node.id, &item, room).await? {
        Publication::Stored(_) => importer.counts.items += 1,
        Publication::Full | Publication::TooMuch => importer.skip("items that are too many"),
        Publication::NoNode => importer.skip("items of a node that was deleted"),
    }
    Ok(())
}

/// The `<configure/>` of a node with these settings, by their names without `pubsub#`.
pub fn configuration(node: &str, options: impl IntoIterator<Item = (String, String)>) -> Element {
    let empty = DataForm::typed(FormKind::Submit, CONFIG);
    let form = options.into_iter().fold(empty, |form, (option, value)| {
        form.with(Field::untyped(format!("pubsub#{option}")).with_value(value))
    });
    Element::new("configure", ns::PUBSUB_OWNER)
        .with_attr("node", node)
        .with_child(form.to_element())
}

/// What owners see of nodes, in one element.
pub fn owned(parts: impl IntoIterator<Item = Element>) -> Element {
    Element::new("pubsub", ns::PUBSUB_OWNER).with_children(parts)
}

async fn configure(importer: &mut Importer<'_>, name: &str, part: &Element) -> anyhow::Result<()> {
    let form = DataForm::within(part).ok().flatten();
    let fields = form.into_iter().flat_map(|form| form.fields);
    // Without labels and options, and as one that was submitted.
    let named = fields.filter_map(|field| Some((field.var?, field.values)));
    let settings = named.filter(|(var, _)| var != "FORM_TYPE");
    let form = settings.fold(DataForm::typed(FormKind::Submit, CONFIG), |form, (var, values)| {
        form.with(Field::untyped(var).with_values(values))
    });
    create(importer, name, &form).await.map(|_| ())
}

/// The node, which is made with what is usual for it if it is not there. `None`: it would be made.
async fn node_of(importer: &mut Importer<'_>, name: &str) -> anyhow::Result<Option<PubSubNode>> {
    create(importer, name, &DataForm::typed(FormKind::Submit, CONFIG)).await
}

async fn create(
    importer: &mut Importer<'_>,
    name: &str,
    form: &DataForm,
) -> anyhow::Result<Option<PubSubNode>> {
    let account = importer.jid()?;
    let pubsub = &importer.store.pubsub;
    if importer.dry_run {
        return Ok(pubsub.node(&account, name).await?);
    }
    let new = NewNode {
        service: account.clone(),
        name: name.to_owned(),
        creator: account.clone(),
        created: Clock::System.now(),
        config: form.to_element().to_string().into(),
        owner: None,
    };
    if let NodeCreation::Created(node) = pubsub.create_node(&new, u64::MAX).await? {
        return Ok(Some(node));
    }
    pubsub.node(&account, name).await?.context("the node was deleted").map(Some)
}

async fn affiliations(
    importer: &mut Importer<'_>,
    name: &str,
    part: &Element,
) -> anyhow::Result<()> {
    let node = node_of(importer, name).await?;
    let account = importer.jid()?;
    let mut changes = Vec::new();
    for child in part.children().filter(|child| child.name() == "affiliation") {
        let jid = child.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        let what = child.attr("affiliation").and_then(|what| what.parse().ok());
        match (jid, what) {
            // The account is always the owner.
            (Some(jid), _) if jid.bare_str() == account => {}
            (Some(jid), Some(what)) => changes.push((jid.bare_str().to_owned(), Some(what))),
            _ => importer.skip("affiliations that cannot be read"),
        }
    }
    if let Some(node) = node.filter(|_| !importer.dry_run) {
        importer.store.pubsub.affiliate(node.id, &changes, u64::MAX).await?;
    }
    Ok(())
}

async fn subscriptions(
    importer: &mut Importer<'_>,
    name: &str,
    part: &Element,
) -> anyhow::Result<()> {
    let node = node_of(importer, name).await?;
    for child in part.children().filter(|child| child.name() == "subscription") {
        let jid = child.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        let state = child.attr("subscription").and_then(|state| state.parse().ok());
        let (Some(jid), Some(state)) = (jid, state) else {
            importer.skip("subscriptions that cannot be read");
            continue;
        };
        let bare = jid.bare_str().to_owned();
        let options = SubscriptionOptions::default();
        let subscription = NodeSubscription { jid: jid.to_string(), bare, state, options };
        let now = Clock::System.now();
        if let Some(node) = node.as_ref().filter(|_| !importer.dry_run) {
            importer.store.pubsub.subscribe(node.id, &subscription, u64::MAX, now).await?;
        }
    }
    Ok(())
}

/// What owners see of a node.
pub async fn node_parts(store: &Store, node: &PubSubNode) -> anyhow::Result<Vec<Element>> {
    let named =
        |name: &str| Element::new(name, ns::PUBSUB_OWNER).with_attr("node", node.name.as_str());
    let form = str::from_utf8(&node.config).ok().and_then(|form| form.parse::<Element>().ok());
    let mut parts = vec![named("configure").with_children(form)];
    let affiliations = store.pubsub.affiliations(node.id).await?;
    if !affiliations.is_empty() {
        parts.push(named("affiliations").with_children(affiliations.iter().map(|(jid, what)| {
            Element::new("affiliation", ns::PUBSUB_OWNER)
                .with_attr("jid", jid.as_str())
                .with_attr("affiliation", what.as_str())
        })));
    }
    let subscriptions = store.pubsub.subscriptions(node.id, Clock::System.now()).await?;
    if !subscriptions.is_empty() {
        parts.push(named("subscriptions").with_children(subscriptions.iter().map(|one| {
            Element::new("subscription", ns::PUBSUB_OWNER)
                .with_attr("jid", one.jid.as_str())
                .with_attr("subscription", SubscriptionState::as_str(one.state))
        })));
    }
    Ok(parts)
}

/// A part of a node's items, those after `after`; with the id of the last one.
pub async fn items_after(
    store: &Store,
    node: &PubSubNode,
    after: Option<String>,
) -> anyhow::Result<Option<(Element, String)>> {
    let page = ItemPage { max: u32::MAX, max_bytes: PAGE_BYTES, after, ..ItemPage::default() };
    let found = store.pubsub.items(node.id, &page).await?.unwrap_or_default();
    let Some(last) = found.items.last().map(|item| item.id.clone()) else { return Ok(None) };
    let items = found.items.iter().map(|item| {
        let payload = item.payload.as_deref().and_then(|xml| str::from_utf8(xml).ok());
        let payload = payload.and_then(|xml| xml.parse::<Element>().ok());
        Element::new("item", ns::PUBSUB).with_attr("id", item.id.as_str()).with_children(payload)
    });
    let items = Element::new("items", ns::PUBSUB)
        .with_attr("node", node.name.as_str())
        .with_children(items);
    Ok(Some((items, last)))
}
