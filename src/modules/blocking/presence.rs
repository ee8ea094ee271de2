//! What a contact sees of the user when a block begins or ends (XEP-0191, sections 3.3 and 3.4).

use std::collections::BTreeSet;
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_store::{RosterItem, Subscription};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{PresenceType, Stanza};

/// The user goes offline for those who were allowed to see them.
pub(super) async fn hide(kernel: &Arc<Kernel>, account: &BareJid, blocked: &[Jid]) {
    let viewers = match kernel.shows_presence(account).await {
        true => viewers(kernel, account, blocked).await,
        false => BTreeSet::new(),
    };
    for session in kernel.sessions.of(account).iter() {
        let gone = Stanza::presence(PresenceType::Unavailable).with_from(session.jid.clone());
        if session.is_available() {
            for viewer in &viewers {
                kernel.route(gone.clone().with_to(viewer.clone())).await;
            }
        }
        for jid in blocked.iter().filter(|jid| session.remove_directed(jid)) {
            if !viewers.contains(jid) {
                kernel.route(gone.clone().with_to(jid.clone())).await;
            }
        }
    }
}

/// The user comes online for those who are allowed to see them.
pub(super) async fn show(kernel: &Arc<Kernel>, account: &BareJid, freed: &[Jid]) {
    if !kernel.shows_presence(account).await {
        return;
    }
    let viewers = viewers(kernel, account, freed).await;
    for session in kernel.sessions.of(account).iter() {
        let Some(presence) = session.presence() else { continue };
        for viewer in &viewers {
            kernel.route(presence.clone().with_to(viewer.clone())).await;
        }
    }
}

async fn viewers(kernel: &Kernel, account: &BareJid, jids: &[Jid]) -> BTreeSet<Jid> {
    if jids.is_empty() {
        return BTreeSet::new();
    }
    match kernel.store.roster.load(account.as_str()).await {
        Ok(roster) => addressed(&roster.items, jids),
        Err(error) => {
            tracing::error!(%account, %error, "roster not read");
            BTreeSet::new()
        }
    }
}

/// Where presence goes for these items of a block list: to contacts with a subscription.
fn addressed(roster: &[RosterItem], jids: &[Jid]) -> BTreeSet<Jid> {
    let sees =
        |item: &&RosterItem| matches!(item.subscription, Subscription::From | Subscription::Both);
    let contacts: Vec<Jid> =
        roster.iter().filter(sees).filter_map(|item| item.jid.parse().ok()).collect();
    let mut addressed = BTreeSet::new();
    for jid in jids {
        for contact in &contacts {
            if jid.bare_str() == contact.as_str() {
                // A full address hides from that resource alone.
                addressed.insert(jid.clone());
            } else if jid.is_domain() && contact.domain() == jid.as_str() {
                addressed.insert(contact.clone());
            }
        }
    }
    addressed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_contacts_with_a_subscription_are_told() {
        let item = |jid: &str, subscription| RosterItem {
            jid: jid.to_owned(),
            subscription,
            ..RosterItem::default()
        };
        let roster = [
            item("both@b", Subscription::Both),
            item("from@b", Subscription::From),
            item("to@b", Subscription::To),
            item("none@b", Subscription::None),
            item("both@c", Subscription::Both),
        ];
        let told = |jids: &[&str]| -> Vec<String> {
            let jids: Vec<Jid> = jids.iter().map(|jid| jid.parse().unwrap()).collect();
            addressed(&roster, &jids).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(&["both@b", "to@b", "stranger@b"]), ["both@b"]);
        assert_eq!(told(&["from@b/x"]), ["from@b/x"]);
        assert_eq!(told(&["b"]), ["both@b", "from@b"]);
        assert_eq!(told(&["b", "both@b"]), ["both@b", "from@b"]);
        assert!(told(&["b/x"]).is_empty());
    }
}
