//! Who is told of what happens at nodes (XEP-0060, sections 9 and 12; XEP-0163, section 4).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::sessions::Session;
use wello_store::{Affiliation, RosterItem, SubscriptionState};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::PubSub;
use super::config::{AccessModel, Delivery, NodeConfig, SendLast};
use super::event::{self, Change, Event};
use super::host::{Call, Host, Node, sees};
use super::policy::{self, Contact, Standing};
use super::refusals::Refusal;
use super::undecided::Held;

/// Tells everybody whom the event concerns. What is lost here can be asked for, so an error is
/// only logged.
pub(crate) async fn tell(service: &PubSub, kernel: &Arc<Kernel>, host: &Host, event: Event) {
    if let Err(refusal) = try_tell(service, kernel, host, event).await {
        tracing::error!(host = %host.address(), ?refusal, "an event was not told");
    }
}

async fn try_tell(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    host: &Host,
    event: Event,
) -> Result<(), Refusal> {
    match event {
        Event::Node { node, what } => {
            let Recipients { to, undecided } =
                recipients(service, kernel, host, &node, false).await?;
            for part in event::parts(&node, &what) {
                let message = message(host, &node.config, part);
                for session in &undecided {
                    service.undecided.hold(session.id, node.name(), message.clone());
                }
                send(kernel, message, &to).await;
            }
            for session in &undecided {
                release_if_answered(service, kernel, session).await;
            }
        }
        Event::Deleted { to, node, redirect } => {
            let redirect = redirect
                .map(|uri| Element::new("redirect", ns::PUBSUB_EVENT).with_attr("uri", uri));
            let part = Element::new("delete", ns::PUBSUB_EVENT)
                .with_attr("node", node.name())
                .with_children(redirect);
            send(kernel, message(host, &node.config, part), &to).await;
        }
        Event::Subscription { node, jid, state } => {
            let part = event::subscription(ns::PUBSUB_EVENT, node.name(), jid.as_str(), state);
            // Whoever is away learns of it, too.
            let config = NodeConfig { delivery: Delivery::Normal, ..node.config };
            send(kernel, message(host, &config, part), &[jid]).await;
        }
        Event::Approval { node, owners, jid } => {
            let form = event::approval_form(node.name(), &jid).to_element();
            for owner in owners {
                let request = Stanza::message(MessageType::Normal)
                    .with_id(random_id())
                    .with_from(host.address().clone())
                    .with_to(owner)
                    .with_child(form.clone());
                kernel.route(request).await;
            }
        }
        Event::LastItem { node, jid } => {
            if let Some(message) = last_item(kernel, host, &node).await? {
                send(kernel, message, &[jid]).await;
            }
        }
    }
    Ok(())
}

/// A message with an event, without a recipient.
fn message(host: &Host, config: &NodeConfig, part: Element) -> Stanza {
    let type_ = match config.delivery {
        Delivery::Headline => MessageType::Headline,
        Delivery::Normal => MessageType::Normal,
    };
    Stanza::message(type_)
        .with_id(random_id())
        .with_from(host.address().clone())
        .with_child(Element::new("event", ns::PUBSUB_EVENT).with_child(part))
}

/// The payload is shared by all copies and written once.
async fn send(kernel: &Arc<Kernel>, message: Stanza, to: &[Jid]) {
    for jid in to {
        kernel.route(message.clone().with_to(jid.clone())).await;
    }
}

/// A device has said what it wants: it gets what waited for that.
pub(crate) async fn release(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    session: &Session,
    info: &DiscoInfo,
) {
    for Held { node, event } in service.undecided.release(session.id) {
        if wants(info, &node) {
            send(kernel, event, &[session.jid.clone().into()]).await;
        }
    }
}

/// The answer may have come between looking for it and holding the event; then nothing else would
/// release it.
async fn release_if_answered(service: &PubSub, kernel: &Arc<Kernel>, session: &Session) {
    if service.caps.is_asking(session) {
        return;
    }
    match service.caps.info(kernel, session).await {
        Some(info) => release(service, kernel, session, &info).await,
        None => drop(service.undecided.release(session.id)),
    }
}

/// The last item of a node as it is sent to those who come later.
async fn last_item(
    kernel: &Arc<Kernel>,
    host: &Host,
    node: &Node,
) -> Result<Option<Stanza>, Refusal> {
    if !node.config.persist || !node.config.deliver {
        return Ok(None);
    }
    let Some(item) = kernel.store.pubsub.last_item(node.row.id).await? else { return Ok(None) };
    let delay = Delay::new(item.time).to_element();
    let change = Change::Published { item: Some(item), gone: Vec::new() };
    let part = event::parts(node, &change).into_iter().next();
    Ok(part.map(|part| message(host, &node.config, part).with_child(delay)))
}

/// Everybody who gets the node's events now, each address once. With those whose subscription
/// waits, if they are to know that the node is gone (XEP-0060, section 8.4.2).
pub(crate) async fn recipients(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    host: &Host,
    node: &Node,
    with_pending: bool,
) -> Result<Recipients, Refusal> {
    let mut found = Found::default();
    if !node.config.deliver {
        return Ok(found.recipients);
    }
    let affiliations = kernel.store.pubsub.affiliations(node.row.id).await?;
    let affiliations: HashMap<String, Affiliation> = affiliations.into_iter().collect();
    let mut roster = HashMap::new();
    if let Host::Account(account) = host {
        let contacts = kernel.store.roster.load(account.as_str()).await?.items;
        roster = contacts.into_iter().map(|item| (item.jid.clone(), item)).collect();
        by_presence(service, kernel, account, node, &roster, &affiliations, &mut found).await;
        if node.config.access == AccessModel::Open {
            let devices = service.sharers.of(kernel, account);
            add_wanting(service, kernel, node, devices.iter(), &mut found).await;
        }
    }
    for subscription in kernel.store.pubsub.subscriptions(node.row.id, kernel.clock.now()).await? {
        let pending = subscription.state == SubscriptionState::Pending;
        let is_told = subscription.options.deliver && (with_pending || !pending);
        let (Ok(jid), true) = (subscription.jid.parse::<Jid>(), is_told) else { continue };
        if !pending {
            let standing = match host {
                Host::Account(_) => {
                    standing(roster.get(&subscription.bare), affiliations.get(&subscription.bare))
                }
                Host::Service(_) => of_service(kernel, host, node, &jid, &affiliations).await?,
            };
            let standing = Standing { subscription: Some(subscription.state), ..standing };
            if policy::may_read(&node.config, &standing).is_err() {
                continue;
            }
        }
        found.add_subscriber(kernel, jid, node.config.presence_based);
    }
    Ok(found.recipients)
}

#[derive(Default)]
pub(crate) struct Recipients {
    pub(crate) to: Vec<Jid>,
    /// Devices that are being asked whether they want it.
    pub(crate) undecided: Vec<Arc<Session>>,
}

#[derive(Default)]
struct Found {
    recipients: Recipients,
    seen: HashSet<Jid>,
    /// Those of whom a device gets it already.
    bare: HashSet<BareJid>,
}

impl Found {
    fn add(&mut self, jid: Jid) {
        if self.seen.insert(jid.clone()) {
            self.bare.insert(jid.bare());
            self.recipients.to.push(jid);
        }
    }

    /// XEP-0163, section 4.3.2: once to the subscribed address, unless devices are known that
    /// want it.
    fn add_subscriber(&mut self, kernel: &Kernel, jid: Jid, presence_based: bool) {
        if jid.is_bare() && self.bare.contains(&jid.bare()) {
            return;
        }
        let sessions = kernel.sessions.of(&jid);
        let is_there = || sessions.iter().any(|session| session.is_available());
        if !presence_based || is_there() {
            self.add(jid);
        }
    }
}

/// The devices that want a node's events because of their presence (XEP-0060, section 9.1).
async fn by_presence(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    account: &BareJid,
    node: &Node,
    roster: &HashMap<String, RosterItem>,
    affiliations: &HashMap<String, Affiliation>,
    found: &mut Found,
) {
    let owner = Standing { affiliation: Some(Affiliation::Owner), ..Standing::default() };
    interested(service, kernel, account, node, &owner, found).await;
    for item in roster.values().filter(|item| sees(item)) {
        let Ok(contact) = item.jid.parse::<BareJid>() else { continue };
        let standing = standing(Some(item), affiliations.get(&item.jid));
        interested(service, kernel, &contact, node, &standing, found).await;
        if !policy::is_subscribed_by_presence(&node.config, &standing) {
            continue;
        }
        for (device, caps) in service.elsewhere.of(account, &contact) {
            let info = service.caps.known_of(kernel, &caps).await;
            if info.is_some_and(|info| wants(&info, node.name())) {
                found.add(device.into());
            }
        }
    }
}

async fn interested(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    who: &BareJid,
    node: &Node,
    standing: &Standing,
    found: &mut Found,
) {
    let sessions = kernel.sessions.of(who);
    if sessions.is_empty() || !policy::is_subscribed_by_presence(&node.config, standing) {
        return;
    }
    let available = sessions.iter().filter(|session| session.is_available());
    add_wanting(service, kernel, node, available, found).await;
}

async fn add_wanting(
    service: &PubSub,
    kernel: &Arc<Kernel>,
    node: &Node,
    devices: impl Iterator<Item = &Arc<Session>>,
    found: &mut Found,
) {
    for session in devices {
        match service.caps.info(kernel, session).await {
            Some(info) if wants(&info, node.name()) => found.add(session.jid.clone().into()),
            Some(_) => {}
            // Of other nodes it gets the last item as soon as it has said that it wants that.
            None if node.config.send_last != SendLast::OnSubAndPresence
                && service.caps.is_asking(session) =>
            {
                found.recipients.undecided.push(Arc::clone(session));
            }
            None => {}
        }
    }
}

/// Section 9.2: by the feature that is the node's name with this at its end.
const NOTIFY: &str = "+notify";

fn wants(info: &DiscoInfo, node: &str) -> bool {
    info.features.iter().any(|feature| feature.strip_suffix(NOTIFY) == Some(node))
}

/// The nodes that a client wants to hear of.
pub(crate) fn interests(info: &DiscoInfo) -> impl Iterator<Item = &str> {
    info.features.iter().filter_map(|feature| feature.strip_suffix(NOTIFY))
}

fn standing(item: Option<&RosterItem>, affiliation: Option<&Affiliation>) -> Standing {
    let contact = match item.filter(|item| sees(item)) {
        Some(item) => Contact { sees_presence: true, groups: item.groups.clone() },
        None => Contact::default(),
    };
    Standing { affiliation: affiliation.copied(), subscription: None, contact }
}

async fn of_service(
    kernel: &Arc<Kernel>,
    host: &Host,
    node: &Node,
    jid: &Jid,
    affiliations: &HashMap<String, Affiliation>,
) -> Result<Standing, Refusal> {
    if matches!(node.config.access, AccessModel::Presence | AccessModel::Roster) {
        let call = Call { kernel, host, from: jid };
        return call.standing_of(node, &jid.bare()).await;
    }
    Ok(standing(None, affiliations.get(jid.bare_str())))
}

/// The last items of an account's nodes, for a device that has begun to want them
/// (XEP-0163, section 4.3.4). `open_only`: it is no contact's.
pub(crate) async fn send_last_items(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    session: &Arc<Session>,
    wanted: &HashSet<String>,
    open_only: bool,
) -> Result<(), Refusal> {
    send_last_items_to(kernel, account, &session.jid.clone().into(), wanted, open_only).await
}

/// The same for a device of any server.
pub(crate) async fn send_last_items_to(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    jid: &Jid,
    wanted: &HashSet<String>,
    open_only: bool,
) -> Result<(), Refusal> {
    if wanted.is_empty() {
        return Ok(());
    }
    let host = Host::Account(account.clone());
    let call = Call { kernel, host: &host, from: jid };
    let mut viewer = None;
    for row in kernel.store.pubsub.nodes(account.as_str(), "", u32::MAX).await? {
        if !wanted.contains(&row.name) {
            continue;
        }
        let node = host.read(kernel, row);
        let is_open = node.config.access == AccessModel::Open;
        if node.config.send_last != SendLast::OnSubAndPresence || (open_only && !is_open) {
            continue;
        }
        let viewer = match &mut viewer {
            Some(viewer) => viewer,
            none => none.insert(call.viewer().await?),
        };
        let standing = call.standing_in(viewer, &node).await?;
        if policy::may_read(&node.config, &standing).is_ok()
            && let Some(message) = last_item(kernel, &host, &node).await?
        {
            send(kernel, message, std::slice::from_ref(jid)).await;
        }
    }
    Ok(())
}
