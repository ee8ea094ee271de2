//! Nodes of accounts (XEP-0163) in files of XEP-0227, section 4.8, and those of the PubSub service, which are written
//! the same way.

use anyhow::Context;
use wello_kernel::clock::Clock;
use wello_modules::pubsub_service;
use wello_store::{
    ItemPage, NewNode, NodeCreation, NodeSubscription, PubSubItem, PubSubNode, Publication, Room,
    Store, SubscriptionOptions, SubscriptionState, Timestamp,
};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::importer::{Importer, readable};

const CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// What XEP-0060 says of a node in its meta-data (section 16.4.3) is said among its settings.
const CREATOR: &str = "pubsub#creator";
const CREATED: &str = "pubsub#creation_date";
/// Bytes of items read at once, and about those of one element.
const PAGE_BYTES: usize = 1024 * 1024;

/// An item on its way into a node.
pub struct Item<'a> {
    pub node: &'a str,
    pub id: &'a str,
    /// Whose the node is, if nobody is named.
    pub publisher: Option<&'a str>,
    pub payload: Option<&'a Element>,
}

/// Who has made a node, and when.
struct Origin {
    /// Bare JID.
    creator: String,
    created: Timestamp,
}

impl Importer<'_> {
    /// Begins the nodes of a PubSub service; `false` when they cannot be here. They are at `pubsub.HOST` here,
    /// wherever below the host they were.
    pub fn begin_service(&mut self, service: &str) -> bool {
        let Some(jid) = self.host_of(service).and_then(|host| pubsub_service(host).parse().ok())
        else {
            self.skip(format!("nodes of {service}, which is below no host of the configuration"));
            return false;
        };
        self.begin_service_at(jid);
        true
    }
}

/// Takes a piece of a `<nodes/>`.
pub async fn import_part(importer: &mut Importer<'_>, part: &Element) -> anyhow::Result<()> {
    match (part.name(), part.ns()) {
        ("pubsub", ns::PUBSUB_OWNER) => import_nodes(importer, part).await,
        ("pubsub", ns::PUBSUB) => import_items(importer, part).await,
        (name, namespace) => {
            importer.skip(format!("<{name} xmlns='{namespace}'/>"));
            Ok(())
        }
    }
}

/// Takes a `<pubsub/>` with what owners see of nodes.
pub async fn import_nodes(importer: &mut Importer<'_>, pubsub: &Element) -> anyhow::Result<()> {
    for part in pubsub.children() {
        let Some(name) = part.attr("node").filter(|name| !name.is_empty()) else {
            importer.skip("nodes without a name");
            continue;
        };
        match part.name() {
            "configure" => configure(importer, pubsub, name, part).await?,
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
            let Some(id) = item.attr("id").filter(|id| !id.is_empty()) else {
                importer.skip("items without an id");
                continue;
            };
            let (publisher, payload) = (item.attr("publisher"), item.children().next());
            import_item(importer, &Item { node: name, id, publisher, payload }).await?;
        }
    }
    Ok(())
}

/// Puts an item into a node, unless it is there.
pub async fn import_item(importer: &mut Importer<'_>, item: &Item<'_>) -> anyhow::Result<()> {
    let Some(node) = node_of(importer, item.node).await? else {
        importer.counts.items += 1;
        return Ok(());
    };
    let pubsub = &importer.store.pubsub;
    let id = item.id.to_owned();
    if !pubsub.items_by_id(node.id, std::slice::from_ref(&id), 1).await?.is_empty() {
        importer.counts.repeated += 1;
        return Ok(());
    }
    if importer.dry_run {
        importer.counts.items += 1;
        return Ok(());
    }
    let payload = match item.payload.map(|payload| readable(payload.to_string().into_bytes())) {
        Some(None) => {
            importer.skip("items that are too large");
            return Ok(());
        }
        Some(payload) => payload,
        None => None,
    };
    let publisher = item.publisher.and_then(|publisher| publisher.parse::<Jid>().ok());
    let publisher = publisher.map_or(importer.jid()?, |publisher| publisher.bare().to_string());
    let item = PubSubItem { id, publisher, time: Clock::System.now(), payload };
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

async fn configure(
    importer: &mut Importer<'_>,
    pubsub: &Element,
    name: &str,
    part: &Element,
) -> anyhow::Result<()> {
    let form = DataForm::within(part).ok().flatten().unwrap_or_else(unconfigured);
    let created = form.value(CREATED).and_then(|created| created.parse().ok());
    let origin = Origin {
        creator: creator(importer, &form, owner(pubsub, name))?,
        created: created.unwrap_or_else(|| Clock::System.now()),
    };
    // Without labels and options, and as one that was submitted.
    let named = form.fields.into_iter().filter_map(|field| Some((field.var?, field.values)));
    let settings = named.filter(|(var, _)| !["FORM_TYPE", CREATOR, CREATED].contains(&&**var));
    let form = settings.fold(unconfigured(), |form, (var, values)| {
        form.with(Field::untyped(var).with_values(values))
    });
    create(importer, name, &form, origin).await.map(|_| ())
}

/// Of an account it is the account. At a service it is who is named, else an owner, else the service.
fn creator(
    importer: &Importer<'_>,
    form: &DataForm,
    owner: Option<BareJid>,
) -> anyhow::Result<String> {
    let named = form.value(CREATOR).and_then(|creator| creator.parse::<BareJid>().ok());
    let creator = named.or(owner).filter(|_| importer.is_at_service());
    creator.map_or_else(|| importer.jid(), |creator| Ok(creator.to_string()))
}

/// The first owner of a node in what owners see.
fn owner(pubsub: &Element, name: &str) -> Option<BareJid> {
    let lists = pubsub.children().filter(|part| part.name() == "affiliations");
    let own = lists.filter(|part| part.attr("node") == Some(name)).flat_map(Element::children);
    let mut owners = own.filter(|child| child.attr("affiliation") == Some("owner"));
    owners.find_map(|owner| Some(owner.attr("jid")?.parse::<Jid>().ok()?.bare()))
}

fn unconfigured() -> DataForm {
    DataForm::typed(FormKind::Submit, CONFIG)
}

/// The node, which is made with what is usual for it if it is not there. `None`: it would be made.
async fn node_of(importer: &mut Importer<'_>, name: &str) -> anyhow::Result<Option<PubSubNode>> {
    let origin = Origin { creator: importer.jid()?, created: Clock::System.now() };
    create(importer, name, &unconfigured(), origin).await
}

async fn create(
    importer: &mut Importer<'_>,
    name: &str,
    form: &DataForm,
    origin: Origin,
) -> anyhow::Result<Option<PubSubNode>> {
    let service = importer.jid()?;
    let pubsub = &importer.store.pubsub;
    if importer.dry_run {
        return Ok(pubsub.node(&service, name).await?);
    }
    let new = NewNode {
        service: service.clone(),
        name: name.to_owned(),
        creator: origin.creator,
        created: origin.created,
        config: form.to_element().to_string().into(),
        // The creator may have handed it over: the affiliations say who owns it now.
        owner: None,
    };
    if let NodeCreation::Created(node) = pubsub.create_node(&new, u64::MAX).await? {
        return Ok(Some(node));
    }
    pubsub.node(&service, name).await?.context("the node was deleted").map(Some)
}

async fn affiliations(
    importer: &mut Importer<'_>,
    name: &str,
    part: &Element,
) -> anyhow::Result<()> {
    let node = node_of(importer, name).await?;
    let account = importer.jid()?;
    let known = match &node {
        Some(node) => importer.store.pubsub.affiliations(node.id).await?,
        None => Vec::new(),
    };
    let mut changes = Vec::new();
    for child in part.children().filter(|child| child.name() == "affiliation") {
        let jid = child.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        let what = child.attr("affiliation").and_then(|what| what.parse().ok());
        match (jid, what) {
            // The account is always the owner.
            (Some(jid), _) if jid.bare_str() == account => {}
            (Some(jid), _) if known.iter().any(|(known, _)| known == jid.bare_str()) => {}
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
    let now = Clock::System.now();
    let known = match &node {
        Some(node) => importer.store.pubsub.subscriptions(node.id, now).await?,
        None => Vec::new(),
    };
    for child in part.children().filter(|child| child.name() == "subscription") {
        let jid = child.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        let state = child.attr("subscription").and_then(|state| state.parse().ok());
        let (Some(jid), Some(state)) = (jid, state) else {
            importer.skip("subscriptions that cannot be read");
            continue;
        };
        if known.iter().any(|known| known.jid == jid.as_str()) {
            continue;
        }
        let bare = jid.bare_str().to_owned();
        let options = SubscriptionOptions::default();
        let subscription = NodeSubscription { jid: jid.to_string(), bare, state, options };
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
    let mut parts = vec![named("configure").with_children(settings(node))];
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

/// The form of a node's settings, with who made it when if that is somebody else than whose it is.
fn settings(node: &PubSubNode) -> Option<Element> {
    let form = str::from_utf8(&node.config).ok()?.parse::<Element>().ok()?;
    if node.creator == node.service {
        return Some(form);
    }
    let form = DataForm::parse(&form).ok()?;
    let form = form.with(Field::untyped(CREATOR).with_value(node.creator.as_str()));
    let form = form.with(Field::untyped(CREATED).with_value(node.created.to_string()));
    Some(form.to_element())
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
        let publisher = Some(item.publisher.as_str()).filter(|who| *who != node.service);
        Element::new("item", ns::PUBSUB)
            .with_attr("id", item.id.as_str())
            .with_attr_opt("publisher", publisher)
            .with_children(payload)
    });
    let items = Element::new("items", ns::PUBSUB)
        .with_attr("node", node.name.as_str())
        .with_children(items);
    Ok(Some((items, last)))
}
