//! What owners do with nodes (XEP-0060, section 8).

use wello_kernel::clock::random_id;
use wello_store::{Affiliation, SubscriptionState};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::DataForm;
use wello_wire::xml::Element;

use super::PubSub;
use super::event::{Change, Event, Outcome};
use super::host::{Call, Host, Node, limits, pubsub};
use super::notify;
use super::refusals::Refusal;
use super::request::OwnerCommand;
use super::subscribe;

pub(crate) async fn create(
    call: &Call<'_>,
    name: Option<String>,
    form: Option<&DataForm>,
) -> Result<Outcome, Refusal> {
    let permitted = match call.host {
        Host::Account(_) => call.is_account_owner(),
        Host::Service(_) => {
            let role = call.kernel.role_of(call.from).await;
            call.kernel.config.pubsub.create.includes(role)
        }
    };
    if !permitted {
        return Err(Refusal::Forbidden("may not make nodes here"));
    }
    let name = name.unwrap_or_else(random_id);
    let mut config = call.host.defaults(call.kernel, &name);
    if let Some(form) = form {
        config.apply(form, limits(call.kernel))?;
    }
    call.create(&name, config).await?;
    let created = Element::new("create", ns::PUBSUB).with_attr("node", name.as_str());
    Ok(Outcome::answer(pubsub(created)))
}

pub(crate) async fn run(
    service: &PubSub,
    call: &Call<'_>,
    command: OwnerCommand,
) -> Result<Outcome, Refusal> {
    match command {
        OwnerCommand::Default => {
            let form = call.host.defaults(call.kernel, "").form().to_element();
            let default = Element::new("default", ns::PUBSUB_OWNER).with_child(form);
            Ok(Outcome::answer(owned(default)))
        }
        OwnerCommand::Config { node } => {
            let form = call.owned(&node).await?.config.form().to_element();
            Ok(Outcome::answer(owned(named("configure", &node).with_child(form))))
        }
        OwnerCommand::Configure { node, form } => configure(call, &node, form.as_ref()).await,
        OwnerCommand::Delete { node, redirect } => delete(service, call, &node, redirect).await,
        OwnerCommand::Purge { node } => purge(call, &node).await,
        OwnerCommand::Affiliations { node } => affiliations(call, &node).await,
        OwnerCommand::Affiliate { node, changes } => affiliate(call, &node, changes).await,
        OwnerCommand::Subscriptions { node } => subscriptions(call, &node).await,
        OwnerCommand::Subscribe { node, changes } => {
            change_subscriptions(call, &node, changes).await
        }
    }
}

fn owned(child: Element) -> Element {
    Element::new("pubsub", ns::PUBSUB_OWNER).with_child(child)
}

fn named(name: &str, node: &str) -> Element {
    Element::new(name, ns::PUBSUB_OWNER).with_attr("node", node)
}

pub(crate) async fn configure(
    call: &Call<'_>,
    name: &str,
    form: Option<&DataForm>,
) -> Result<Outcome, Refusal> {
    let mut node = call.owned(name).await?;
    let Some(form) = form else { return Ok(Outcome::default()) };
    node.config.apply(form, limits(call.kernel))?;
    let keep = match node.config.persist {
        true => node.config.max_items.limited(call.kernel.config.pubsub.items),
        false => 0,
    };
    let stored = node.config.to_bytes();
    if !call.kernel.store.pubsub.configure_node(node.row.id, &stored, keep).await? {
        return Err(Refusal::NotFound("the node was deleted"));
    }
    if !node.config.notify_config {
        return Ok(Outcome::default());
    }
    Ok(Outcome::of(vec![Event::Node { node, what: Change::Configured }]))
}

async fn delete(
    service: &PubSub,
    call: &Call<'_>,
    name: &str,
    redirect: Option<String>,
) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    let to = match node.config.notify_delete {
        true => notify::recipients(service, call.kernel, call.host, &node, true).await?.to,
        false => Vec::new(),
    };
    if !call.kernel.store.pubsub.delete_node(node.row.id).await? {
        return Err(Refusal::NotFound("no such node"));
    }
    Ok(Outcome::of(vec![Event::Deleted { to, node, redirect }]))
}

async fn purge(call: &Call<'_>, name: &str) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    if !node.config.persist {
        return Err(Refusal::Unsupported("persistent-items"));
    }
    call.kernel.store.pubsub.purge(node.row.id).await?;
    Ok(Outcome::of(vec![Event::Node { node, what: Change::Purged }]))
}

async fn affiliations(call: &Call<'_>, name: &str) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    let all = call.kernel.store.pubsub.affiliations(node.row.id).await?;
    let address = match call.host {
        Host::Account(account) => Some((account.to_string(), Affiliation::Owner)),
        Host::Service(_) => None,
    };
    let elements = address.iter().chain(&all).map(|(jid, what)| affiliation(jid, Some(*what)));
    let list = named("affiliations", name).with_children(elements);
    Ok(Outcome::answer(owned(list)))
}

fn affiliation(jid: &str, what: Option<Affiliation>) -> Element {
    Element::new("affiliation", ns::PUBSUB_OWNER)
        .with_attr("jid", jid)
        .with_attr("affiliation", what.map_or("none", Affiliation::as_str))
}

async fn affiliate(
    call: &Call<'_>,
    name: &str,
    changes: Vec<(Jid, Option<Affiliation>)>,
) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    let store = &call.kernel.store.pubsub;
    let before = store.affiliations(node.row.id).await?;
    if !keeps_an_owner(call.host, &before, &changes) {
        return Err(Refusal::NotAcceptable("a node needs an owner".to_owned()));
    }
    let rows: Vec<_> = changes.iter().map(|(jid, what)| (jid.to_string(), *what)).collect();
    if !store.affiliate(node.row.id, &rows, call.kernel.config.pubsub.affiliations).await? {
        return Err(Refusal::NotAcceptable("too many affiliations".to_owned()));
    }
    let mut events = Vec::new();
    for (jid, what) in &changes {
        events.extend(follow(call, &node, &jid.bare(), *what).await?);
    }
    Ok(Outcome::of(events))
}

/// Section 8.9.2.4: the last owner stays; an account is always the owner of its nodes.
fn keeps_an_owner(
    host: &Host,
    before: &[(String, Affiliation)],
    changes: &[(Jid, Option<Affiliation>)],
) -> bool {
    if let Host::Account(account) = host {
        return changes.iter().all(|(jid, what)| {
            jid.as_str() != account.as_str() || *what == Some(Affiliation::Owner)
        });
    }
    let is_changed = |jid: &str| changes.iter().any(|(changed, _)| changed.as_str() == jid);
    let kept = before.iter().any(|(jid, what)| *what == Affiliation::Owner && !is_changed(jid));
    let made = changes.iter().any(|(_, what)| *what == Some(Affiliation::Owner));
    // An orphaned node has none to lose.
    kept || made || before.iter().all(|(_, what)| *what != Affiliation::Owner)
}

/// Section 8.7: requests that wait follow the affiliation, and outcasts have no subscription.
async fn follow(
    call: &Call<'_>,
    node: &Node,
    jid: &BareJid,
    what: Option<Affiliation>,
) -> Result<Vec<Event>, Refusal> {
    let relation = call.kernel.store.pubsub.relation(node.row.id, jid.as_str(), call.now()).await?;
    let mut events = Vec::new();
    for present in relation.subscriptions {
        let Ok(subscriber) = present.jid.parse::<Jid>() else { continue };
        let pending = present.state == SubscriptionState::Pending;
        let allow = match what {
            Some(Affiliation::Outcast) => false,
            Some(Affiliation::Owner | Affiliation::Publisher | Affiliation::Member) if pending => {
                true
            }
            _ => continue,
        };
        events.extend(
            subscribe::settle(call, node.clone(), subscriber, allow.then_some(present.options))
                .await?,
        );
    }
    Ok(events)
}

async fn subscriptions(call: &Call<'_>, name: &str) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    let all = call.kernel.store.pubsub.subscriptions(node.row.id, call.now()).await?;
    // Section 8.8.1.2: not those that wait.
    let shown = all.iter().filter(|one| one.state == SubscriptionState::Subscribed);
    let elements = shown.map(|one| {
        Element::new("subscription", ns::PUBSUB_OWNER)
            .with_attr("jid", one.jid.as_str())
            .with_attr("subscription", one.state.as_str())
    });
    Ok(Outcome::answer(owned(named("subscriptions", name).with_children(elements))))
}

async fn change_subscriptions(
    call: &Call<'_>,
    name: &str,
    changes: Vec<(Jid, Option<SubscriptionState>)>,
) -> Result<Outcome, Refusal> {
    let node = call.owned(name).await?;
    let before = call.kernel.store.pubsub.subscriptions(node.row.id, call.now()).await?;
    let mut events = Vec::new();
    for (jid, state) in changes {
        let present = before.iter().find(|one| one.jid == jid.as_str());
        if present.map(|one| one.state) != state {
            let options = present.map(|one| one.options).unwrap_or_default();
            let allow = state.map(|_| options);
            events.extend(subscribe::settle(call, node.clone(), jid, allow).await?);
        }
    }
    Ok(Outcome::of(events))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_never_loses_its_last_owner() {
        let service = Host::Service("pubsub.x".parse().unwrap());
        let account = Host::Account("a@x".parse().unwrap());
        let before =
            [("a@x".to_owned(), Affiliation::Owner), ("b@x".to_owned(), Affiliation::Member)];
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let (a, b) = (jid("a@x"), jid("b@x"));
        let keeps = |host: &Host, changes: &[(Jid, Option<Affiliation>)]| {
            keeps_an_owner(host, &before, changes)
        };
        assert!(!keeps(&service, &[(a.clone(), None)]));
        assert!(!keeps(&service, &[(a.clone(), Some(Affiliation::Publisher))]));
        assert!(keeps(&service, &[(b.clone(), None)]));
        assert!(keeps(&service, &[(a.clone(), None), (b.clone(), Some(Affiliation::Owner))]));
        assert!(!keeps(&account, &[(a, Some(Affiliation::Outcast))]));
        assert!(keeps(&account, &[(b, Some(Affiliation::Outcast))]));
        assert!(keeps_an_owner(&service, &before[1..], &[(jid("b@x"), None)]));
    }
}
