//! Who may do what at a node (XEP-0060, sections 4.1 and 4.5), and what may be published there.

use wello_store::{Affiliation, SubscriptionState};
use wello_wire::xml::Element;

use super::config::{AccessModel, NodeConfig, PublishModel};
use super::refusals::Refusal;

/// What somebody is to a node and its owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) affiliation: Option<Affiliation>,
    /// The strongest of the entity's subscriptions.
    pub(crate) subscription: Option<SubscriptionState>,
    pub(crate) contact: Contact,
}

/// What somebody is in the owner's roster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contact {
    /// Has a subscription to the owner's presence.
    pub(crate) sees_presence: bool,
    pub(crate) groups: Vec<String>,
}

impl Standing {
    pub(crate) fn is_owner(&self) -> bool {
        self.affiliation == Some(Affiliation::Owner)
    }

    fn is_subscribed(&self) -> bool {
        self.subscription == Some(SubscriptionState::Subscribed)
    }
}

/// What becomes of a subscription request that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Subscribed,
    /// An owner decides (section 6.1.4).
    Pending,
}

/// Whether items may be retrieved (section 6.5.1).
pub(crate) fn may_read(config: &NodeConfig, who: &Standing) -> Result<(), Refusal> {
    match who.affiliation {
        Some(Affiliation::Owner | Affiliation::Publisher | Affiliation::Member) => return Ok(()),
        Some(Affiliation::Outcast | Affiliation::PublishOnly) => {
            return Err(Refusal::Forbidden("not with this affiliation"));
        }
        None => {}
    }
    match config.access {
        AccessModel::Authorize if who.is_subscribed() => Ok(()),
        AccessModel::Authorize => Err(Refusal::NotSubscribed),
        AccessModel::Whitelist => Err(Refusal::ClosedNode),
        AccessModel::Open => Ok(()),
        AccessModel::Presence | AccessModel::Roster => may_as_contact(config, &who.contact),
    }
}

fn may_as_contact(config: &NodeConfig, contact: &Contact) -> Result<(), Refusal> {
    let in_group = || contact.groups.iter().any(|group| config.groups.contains(group));
    match config.access {
        // Section 4.5: in the group and subscribed; who is no contact is in no group.
        AccessModel::Roster if contact.sees_presence && in_group() => Ok(()),
        AccessModel::Roster => Err(Refusal::NotInRosterGroup),
        AccessModel::Presence if !contact.sees_presence => {
            Err(Refusal::PresenceSubscriptionRequired)
        }
        _ => Ok(()),
    }
}

/// Whether somebody may subscribe (section 6.1.3).
pub(crate) fn may_subscribe(config: &NodeConfig, who: &Standing) -> Result<Admission, Refusal> {
    if who.subscription == Some(SubscriptionState::Pending) {
        return Err(Refusal::PendingSubscription);
    }
    if !config.subscribe && !who.is_owner() {
        return Err(Refusal::Unsupported("subscribe"));
    }
    match may_read(config, who) {
        Ok(()) => Ok(Admission::Subscribed),
        Err(Refusal::NotSubscribed) => Ok(Admission::Pending),
        Err(refusal) => Err(refusal),
    }
}

/// Whether somebody may publish (section 7.1.3.1).
pub(crate) fn may_publish(config: &NodeConfig, who: &Standing) -> Result<(), Refusal> {
    let permitted = match who.affiliation {
        Some(Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly) => true,
        Some(Affiliation::Outcast) => false,
        Some(Affiliation::Member) | None => match config.publish {
            PublishModel::Open => true,
            PublishModel::Subscribers => who.is_subscribed(),
            PublishModel::Publishers => false,
        },
    };
    if permitted { Ok(()) } else { Err(Refusal::Forbidden("may not publish here")) }
}

/// Whether somebody may remove an item: owners any, publishers their own (section 4.1).
pub(crate) fn may_retract(who: &Standing, own: bool) -> Result<(), Refusal> {
    let permitted = match who.affiliation {
        Some(Affiliation::Owner) => true,
        Some(Affiliation::Outcast) => false,
        _ => own,
    };
    if permitted { Ok(()) } else { Err(Refusal::Forbidden("may not remove this item")) }
}

pub(crate) fn may_own(who: &Standing) -> Result<(), Refusal> {
    if who.is_owner() { Ok(()) } else { Err(Refusal::Forbidden("only for owners")) }
}

/// Whether a contact gets events of an account's node without having subscribed (section 9.1.2).
pub(crate) fn is_subscribed_by_presence(config: &NodeConfig, who: &Standing) -> bool {
    (who.contact.sees_presence || who.is_owner()) && may_read(config, who).is_ok()
}

/// Whether the item fits the node (section 7.1.3): `None` is a publication without any item.
pub(crate) fn check_item(
    config: &NodeConfig,
    item: Option<&[Element]>,
    max_payload: usize,
) -> Result<(), Refusal> {
    // Neither kept nor delivered: an event without content.
    let notification_only = !config.persist && !config.deliver_payloads;
    let Some(payloads) = item else {
        return if notification_only { Ok(()) } else { Err(Refusal::ItemRequired) };
    };
    if notification_only {
        return Err(Refusal::ItemForbidden);
    }
    match payloads {
        [] if config.deliver_payloads => Err(Refusal::PayloadRequired),
        [] => Ok(()),
        [payload] => {
            if !config.payload_type.is_empty() && payload.ns() != config.payload_type {
                return Err(Refusal::InvalidPayload("this node is for another namespace"));
            }
            let limit = config.max_payload.min(max_payload);
            if payload.to_string().len() > limit { Err(Refusal::PayloadTooBig) } else { Ok(()) }
        }
        _ => Err(Refusal::InvalidPayload("more than one payload")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Limits;
    use super::*;

    const LIMITS: Limits = Limits { items: 10, item_bytes: 100 };

    fn config(access: AccessModel) -> NodeConfig {
        let groups = vec!["Friends".to_owned()];
        NodeConfig { access, groups, ..NodeConfig::of_service(LIMITS) }
    }

    fn affiliated(affiliation: Affiliation) -> Standing {
        Standing { affiliation: Some(affiliation), ..Standing::default() }
    }

    fn subscribed(state: SubscriptionState) -> Standing {
        Standing { subscription: Some(state), ..Standing::default() }
    }

    fn contact(groups: &[&str]) -> Standing {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let contact = Contact { sees_presence: true, groups };
        Standing { contact, ..Standing::default() }
    }

    #[test]
    fn the_access_models_of_section_4_5() {
        use AccessModel::{Authorize, Open, Presence, Roster, Whitelist};
        let stranger = Standing::default();
        let pending = subscribed(SubscriptionState::Pending);
        let in_group = Standing {
            contact: Contact { sees_presence: false, ..contact(&["Friends"]).contact },
            ..Standing::default()
        };
        for (access, who, expected) in [
            (Open, &stranger, Ok(())),
            (Presence, &stranger, Err(Refusal::PresenceSubscriptionRequired)),
            (Presence, &contact(&[]), Ok(())),
            (Roster, &contact(&["Work"]), Err(Refusal::NotInRosterGroup)),
            (Roster, &in_group, Err(Refusal::NotInRosterGroup)),
            (Roster, &contact(&["Work", "Friends"]), Ok(())),
            (Authorize, &stranger, Err(Refusal::NotSubscribed)),
            (Authorize, &pending, Err(Refusal::NotSubscribed)),
            (Authorize, &subscribed(SubscriptionState::Subscribed), Ok(())),
            (Whitelist, &contact(&["Friends"]), Err(Refusal::ClosedNode)),
            (Whitelist, &subscribed(SubscriptionState::Subscribed), Err(Refusal::ClosedNode)),
            (Whitelist, &affiliated(Affiliation::Member), Ok(())),
            (Whitelist, &affiliated(Affiliation::Publisher), Ok(())),
            (Whitelist, &affiliated(Affiliation::Owner), Ok(())),
        ] {
            assert_eq!(may_read(&config(access), who), expected, "{access:?} {who:?}");
        }
        for affiliation in [Affiliation::Outcast, Affiliation::PublishOnly] {
            let verdict = may_read(&config(Open), &affiliated(affiliation));
            assert!(matches!(verdict, Err(Refusal::Forbidden(_))));
        }
    }

    #[test]
    fn subscriptions_follow_access() {
        let open = config(AccessModel::Open);
        assert_eq!(may_subscribe(&open, &Standing::default()), Ok(Admission::Subscribed));
        let authorize = config(AccessModel::Authorize);
        assert_eq!(may_subscribe(&authorize, &Standing::default()), Ok(Admission::Pending));
        let member = affiliated(Affiliation::Member);
        assert_eq!(may_subscribe(&authorize, &member), Ok(Admission::Subscribed));
        let pending = subscribed(SubscriptionState::Pending);
        assert_eq!(may_subscribe(&authorize, &pending), Err(Refusal::PendingSubscription));
        let closed = NodeConfig { subscribe: false, ..open };
        let refused = may_subscribe(&closed, &Standing::default());
        assert_eq!(refused, Err(Refusal::Unsupported("subscribe")));
    }

    #[test]
    fn publishing_follows_affiliation_and_model() {
        use Affiliation::{Member, Outcast, Owner, PublishOnly, Publisher};
        let with = |publish| NodeConfig { publish, ..config(AccessModel::Open) };
        for (who, publishers, subscribers, open) in [
            (affiliated(Owner), true, true, true),
            (affiliated(Publisher), true, true, true),
            (affiliated(PublishOnly), true, true, true),
            (affiliated(Member), false, false, true),
            (affiliated(Outcast), false, false, false),
            (Standing::default(), false, false, true),
            (subscribed(SubscriptionState::Pending), false, false, true),
            (subscribed(SubscriptionState::Subscribed), false, true, true),
        ] {
            let may = |model| may_publish(&with(model), &who).is_ok();
            assert_eq!(may(PublishModel::Publishers), publishers, "{who:?}");
            assert_eq!(may(PublishModel::Subscribers), subscribers, "{who:?}");
            assert_eq!(may(PublishModel::Open), open, "{who:?}");
        }
        assert!(may_retract(&affiliated(Owner), false).is_ok());
        assert!(may_retract(&affiliated(Publisher), false).is_err());
        assert!(may_retract(&affiliated(PublishOnly), true).is_ok());
        assert!(may_retract(&affiliated(Outcast), true).is_err());
        assert!(may_own(&affiliated(Publisher)).is_err());
    }

    #[test]
    fn events_reach_contacts_who_may_read() {
        let presence = config(AccessModel::Presence);
        assert!(is_subscribed_by_presence(&presence, &contact(&[])));
        assert!(!is_subscribed_by_presence(&config(AccessModel::Open), &Standing::default()));
        assert!(!is_subscribed_by_presence(&config(AccessModel::Whitelist), &contact(&[])));
        assert!(is_subscribed_by_presence(
            &config(AccessModel::Whitelist),
            &affiliated(Affiliation::Owner)
        ));
    }

    #[test]
    fn items_fit_the_kind_of_node() {
        let node = |persist, deliver_payloads| NodeConfig {
            persist,
            deliver_payloads,
            ..config(AccessModel::Open)
        };
        let payload = [Element::new("a", "urn:a")];
        let two = [payload[0].clone(), payload[0].clone()];
        for (persist, payloads, none, empty, one) in [
            (true, true, Err(Refusal::ItemRequired), Err(Refusal::PayloadRequired), Ok(())),
            (true, false, Err(Refusal::ItemRequired), Ok(()), Ok(())),
            (false, true, Err(Refusal::ItemRequired), Err(Refusal::PayloadRequired), Ok(())),
            (false, false, Ok(()), Err(Refusal::ItemForbidden), Err(Refusal::ItemForbidden)),
        ] {
            let config = node(persist, payloads);
            assert_eq!(check_item(&config, None, 100), none);
            assert_eq!(check_item(&config, Some(&[]), 100), empty);
            assert_eq!(check_item(&config, Some(&payload), 100), one);
        }
        let config = node(true, true);
        assert!(matches!(check_item(&config, Some(&two), 100), Err(Refusal::InvalidPayload(_))));
        assert_eq!(check_item(&config, Some(&payload), 5), Err(Refusal::PayloadTooBig));
        let typed = NodeConfig { payload_type: "urn:b".to_owned(), ..config };
        let wrong = check_item(&typed, Some(&payload), 100);
        assert!(matches!(wrong, Err(Refusal::InvalidPayload(_))));
    }
}
