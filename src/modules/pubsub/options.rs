//! What subscribers choose about their subscriptions (XEP-0060, sections 6.3, 6.4 and 12.18).

use wello_store::{SubscriptionOptions, Timestamp};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::event::Outcome;
use super::host::{Call, Node, pubsub};
use super::refusals::Refusal;

pub(crate) const FORM_TYPE: &str = "http://jabber.org/protocol/pubsub#subscribe_options";

const DELIVER: &str = "pubsub#deliver";
const EXPIRE: &str = "pubsub#expire";

/// Shows the choices, or makes them.
pub(crate) async fn run(
    call: &Call<'_>,
    name: &str,
    jid: &Jid,
    chosen: Option<&DataForm>,
) -> Result<Outcome, Refusal> {
    if jid.bare_str() != call.from.bare_str() {
        return Err(Refusal::Forbidden("not the sender's subscription"));
    }
    let node = call.node(name).await?;
    let store = &call.kernel.store.pubsub;
    let relation = store.relation(node.row.id, jid.bare_str(), call.now()).await?;
    let found = relation.subscriptions.into_iter().find(|one| one.jid == jid.as_str());
    let mut subscription = found.ok_or(Refusal::NothingToConfigure)?;
    let Some(chosen) = chosen else {
        let shown = Element::new("options", ns::PUBSUB)
            .with_attr("node", name)
            .with_attr("jid", jid.as_str())
            .with_child(form(FormKind::Form, subscription.options).to_element());
        return Ok(Outcome::answer(pubsub(shown)));
    };
    subscription.options = apply(subscription.options, chosen, call.now())?;
    let most = call.kernel.config.pubsub.subscriptions;
    match store.subscribe(node.row.id, &subscription, most, call.now()).await? {
        true => Ok(Outcome::default()),
        false => Err(Refusal::TooManySubscriptions),
    }
}

/// Section 6.4: the same for all nodes.
pub(crate) async fn defaults(call: &Call<'_>, name: Option<&str>) -> Result<Outcome, Refusal> {
    let node: Option<Node> = match name {
        Some(name) => Some(call.node(name).await?),
        None => None,
    };
    let default = Element::new("default", ns::PUBSUB)
        .with_attr_opt("node", node.as_ref().map(Node::name))
        .with_child(form(FormKind::Result, SubscriptionOptions::default()).to_element());
    Ok(Outcome::answer(pubsub(default)))
}

/// The choices after `chosen`; what it does not name stays as it was. As with a node's
/// configuration, fields that are not offered are left alone.
pub(crate) fn apply(
    before: SubscriptionOptions,
    chosen: &DataForm,
    now: Timestamp,
) -> Result<SubscriptionOptions, Refusal> {
    let deliver = chosen.boolean(DELIVER).map_err(|_| Refusal::InvalidOptions)?;
    let expires = match (chosen.field(EXPIRE), chosen.value(EXPIRE)) {
        (None, _) => before.expires,
        (Some(_), None) => None,
        (Some(_), Some(text)) => Some(lease(text, now)?),
    };
    Ok(SubscriptionOptions { deliver: deliver.unwrap_or(before.deliver), expires })
}

fn lease(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let end: Timestamp = text.parse().map_err(|_| Refusal::InvalidOptions)?;
    if end > now { Ok(end) } else { Err(Refusal::InvalidOptions) }
}

/// As it is told together with a new subscription (section 6.3.7).
pub(crate) fn resulting(options: SubscriptionOptions) -> Element {
    Element::new("options", ns::PUBSUB).with_child(form(FormKind::Result, options).to_element())
}

fn form(kind: FormKind, options: SubscriptionOptions) -> DataForm {
    let end = options.expires.map(|end| end.to_string());
    DataForm::typed(kind, FORM_TYPE)
        .with(Field::boolean(DELIVER, "Whether to be notified").with_boolean(options.deliver))
        .with(
            Field::text_single(EXPIRE, "When the subscription ends; empty: never")
                .with_value(end.unwrap_or_default()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn chosen(fields: &[(&str, &str)]) -> DataForm {
        fields.iter().fold(DataForm::typed(FormKind::Submit, FORM_TYPE), |form, (var, value)| {
            form.with(Field::untyped(*var).with_value(*value))
        })
    }

    #[test]
    fn what_is_not_named_stays() {
        let end = Timestamp::from_secs(2_000_000);
        let before = SubscriptionOptions { deliver: false, expires: Some(end) };
        assert_eq!(apply(before, &chosen(&[]), NOW), Ok(before));
        let leased = SubscriptionOptions { deliver: true, ..before };
        assert_eq!(apply(before, &chosen(&[(DELIVER, "true")]), NOW), Ok(leased));
        let endless = SubscriptionOptions { expires: None, ..before };
        assert_eq!(apply(before, &chosen(&[(EXPIRE, "")]), NOW), Ok(endless));
    }

    #[test]
    fn a_lease_ends_later() {
        let options = SubscriptionOptions::default();
        for end in ["1970-01-12T13:46:40Z", "1970-01-01T00:00:00Z", "tomorrow", "presence"] {
            let refused = apply(options, &chosen(&[(EXPIRE, end)]), NOW);
            assert_eq!(refused, Err(Refusal::InvalidOptions), "{end}");
        }
        let until = |end| apply(options, &chosen(&[(EXPIRE, end)]), NOW).unwrap().expires;
        assert!(until("1970-01-12T13:46:41Z").is_some());
        let perhaps = apply(options, &chosen(&[(DELIVER, "perhaps")]), NOW);
        assert_eq!(perhaps, Err(Refusal::InvalidOptions));
    }

    #[test]
    fn the_form_shows_what_was_chosen() {
        let end = Some(Timestamp::from_secs(2_000_000));
        let options = SubscriptionOptions { deliver: false, expires: end };
        let shown = form(FormKind::Form, options);
        assert_eq!(apply(SubscriptionOptions::default(), &shown, NOW), Ok(options));
    }
}
