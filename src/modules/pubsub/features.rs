//! The features of XEP-0060, section 10, that are there.

use super::host::Host;

/// Those with the prefix of their own.
macro_rules! pubsub {
    ($($name:literal,)+) => { &[$(concat!("http://jabber.org/protocol/pubsub#", $name),)+] };
}

const EVERYWHERE: &[&str] = pubsub![
    "access-authorize",
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
];

const ON_ACCOUNTS: &[&str] = pubsub![
    "auto-create",
    "auto-subscribe",
    "filtered-notifications",
    "last-published",
    "presence-subscribe",
    "pubsub-on-a-jid",
];

const ALL_OF_ACCOUNTS: [&str; EVERYWHERE.len() + ON_ACCOUNTS.len() + 1] = {
    let mut all = [wello_wire::ns::PUBSUB; EVERYWHERE.len() + ON_ACCOUNTS.len() + 1];
    let mut at = 0;
    while at < EVERYWHERE.len() {
        all[at] = EVERYWHERE[at];
        at += 1;
    }
    let mut more = 0;
    while more < ON_ACCOUNTS.len() {
        all[at + more] = ON_ACCOUNTS[more];
        more += 1;
    }
    all
};

pub(super) const OF_ACCOUNTS: &[&str] = &ALL_OF_ACCOUNTS;

pub(super) fn of_service() -> Vec<String> {
    EVERYWHERE.iter().chain(&[wello_wire::ns::PUBSUB]).map(|name| (*name).to_owned()).collect()
}

pub(super) fn of_node(host: &Host) -> Vec<String> {
    match host {
        Host::Account(_) => OF_ACCOUNTS.iter().map(|name| (*name).to_owned()).collect(),
        Host::Service(_) => of_service(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_feature_twice() {
        let mut names = OF_ACCOUNTS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OF_ACCOUNTS.len());
        assert!(names.contains(&"http://jabber.org/protocol/pubsub#auto-create"));
        assert!(!of_service().iter().any(|name| name.ends_with("#auto-create")));
    }
}
