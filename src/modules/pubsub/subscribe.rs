//! Subscribing and what owners decide about it (XEP-0060, sections 6.1, 6.2 and 8.6).

use wello_store::{Affiliation, NodeSubscription, SubscriptionOptions, SubscriptionState};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};
use wello_wire::stanza::Stanza;

use super::config::SendLast;
use super::event::{APPROVAL_FORM_TYPE, Event, Outcome, subscription};
use super::host::{Call, Host, Node, pubsub};
use super::options;
use super::policy::{self, Admission};
use super::refusals::Refusal;

pub(crate) async fn subscribe(
    call: &Call<'_>,
    name: &str,
    jid: Jid,
    chosen: Option<&DataForm>,
) -> Result<Outcome, Refusal> {
    if jid.bare_str() != call.from.bare_str() {
        return Err(Refusal::InvalidJid);
    }
    let node = call.node(name).await?;
    let store = &call.kernel.store.pubsub;
    let standing = call.standing(&node).await?;
    let relation = store.relation(node.row.id, call.from.bare_str(), call.now()).await?;
    let present = relation.subscriptions.iter().find(|present| present.jid == jid.as_str());
    let before = present.map(|present| present.options).unwrap_or_default();
    let options = match chosen {
        Some(chosen) => options::apply(before, chosen, call.now())?,
        None => before,
    };
    // Section 6.1.6: asked again, the state is told again.
    let is_subscribed =
        present.is_some_and(|present| present.state == SubscriptionState::Subscribed);
    if is_subscribed && chosen.is_none() {
        let state = Some(SubscriptionState::Subscribed);
        return Ok(Outcome::answer(answer(name, &jid, state)));
    }
    let state = match policy::may_subscribe(&node.config, &standing)? {
        Admission::Subscribed => SubscriptionState::Subscribed,
        Admission::Pending => SubscriptionState::Pending,
    };
    let most = call.kernel.config.pubsub.subscriptions;
    if !store.subscribe(node.row.id, &row(&jid, state, options), most, call.now()).await? {
        return Err(Refusal::TooManySubscriptions);
    }
    let answer = answer(name, &jid, Some(state));
    // Section 6.3.7.
    let answer = Some(match chosen {
        Some(_) => answer.with_child(options::resulting(options)),
        None => answer,
    });
    let is_sent = options.deliver && node.config.send_last != SendLast::Never && !is_subscribed;
    let event = match state {
        SubscriptionState::Subscribed if !is_sent => None,
        SubscriptionState::Subscribed => Some(Event::LastItem { node, jid }),
        SubscriptionState::Pending => {
            let owners = owners(call, &node).await?;
            Some(Event::Approval { node, owners, jid })
        }
    };
    Ok(Outcome { answer, events: event.into_iter().collect() })
}

fn row(jid: &Jid, state: SubscriptionState, options: SubscriptionOptions) -> NodeSubscription {
    NodeSubscription { jid: jid.to_string(), bare: jid.bare_str().to_owned(), state, options }
}

fn answer(node: &str, jid: &Jid, state: Option<SubscriptionState>) -> wello_wire::xml::Element {
    pubsub(subscription(ns::PUBSUB, node, jid.as_str(), state))
}

async fn owners(call: &Call<'_>, node: &Node) -> Result<Vec<BareJid>, Refusal> {
    if let Host::Account(account) = call.host {
        return Ok(vec![account.clone()]);
    }
    let all = call.kernel.store.pubsub.affiliations(node.row.id).await?;
    let owners = all.iter().filter(|(_, affiliation)| *affiliation == Affiliation::Owner);
    Ok(owners.filter_map(|(jid, _)| jid.parse().ok()).collect())
}

pub(crate) async fn unsubscribe(
    call: &Call<'_>,
    name: &str,
    jid: &Jid,
) -> Result<Outcome, Refusal> {
    let node = call.node(name).await?;
    if jid.bare_str() != call.from.bare_str() {
        return Err(Refusal::Forbidden("not the sender's address"));
    }
    if !call.kernel.store.pubsub.unsubscribe(node.row.id, jid.as_str()).await? {
        return Err(Refusal::NoSuchSubscription);
    }
    Ok(Outcome::answer(answer(name, jid, None)))
}

/// Whether the message is an owner's answer to [`Event::Approval`].
pub(crate) fn decision(message: &Stanza) -> Option<DataForm> {
    let form = DataForm::parse(message.child("x", ns::DATA_FORM)?).ok()?;
    let is_ours = matches!(form.kind, FormKind::Submit | FormKind::Cancel)
        && form.form_type() == Some(APPROVAL_FORM_TYPE);
    is_ours.then_some(form)
}

/// Section 8.6: what an owner decided.
pub(crate) async fn decide(call: &Call<'_>, form: &DataForm) -> Result<Outcome, Refusal> {
    // The request stays as it is.
    if form.kind == FormKind::Cancel {
        return Ok(Outcome::default());
    }
    let name = form.value("pubsub#node").ok_or(Refusal::NodeIdRequired)?;
    let jid: Jid = form.parsed("pubsub#subscriber_jid")?.ok_or(Refusal::JidRequired)?;
    let allow = form.boolean("pubsub#allow")?.ok_or(Refusal::BadRequest("allow or not?"))?;
    let node = call.owned(name).await?;
    let store = &call.kernel.store.pubsub;
    let relation = store.relation(node.row.id, jid.bare_str(), call.now()).await?;
    let pending = relation
        .subscriptions
        .iter()
        .find(|present| present.jid == jid.as_str() && present.state == SubscriptionState::Pending)
        .ok_or(Refusal::NotFound("nobody waits for this"))?;
    settle(call, node, jid, allow.then_some(pending.options)).await.map(Outcome::of)
}

/// Makes a request that waits a subscription with these options, or removes it; tells the entity.
pub(super) async fn settle(
    call: &Call<'_>,
    node: Node,
    jid: Jid,
    allowed: Option<SubscriptionOptions>,
) -> Result<Vec<Event>, Refusal> {
    let store = &call.kernel.store.pubsub;
    let Some(options) = allowed else {
        store.unsubscribe(node.row.id, jid.as_str()).await?;
        return Ok(vec![Event::Subscription { node, jid, state: None }]);
    };
    let state = SubscriptionState::Subscribed;
    let most = call.kernel.config.pubsub.subscriptions;
    if !store.subscribe(node.row.id, &row(&jid, state, options), most, call.now()).await? {
        return Err(Refusal::TooManySubscriptions);
    }
    let told = Event::Subscription { node: node.clone(), jid: jid.clone(), state: Some(state) };
    let mut events = vec![told];
    if options.deliver && node.config.send_last != SendLast::Never {
        events.push(Event::LastItem { node, jid });
    }
    Ok(events)
}
