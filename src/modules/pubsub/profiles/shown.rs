//! Who may read an account's vCards and avatars. The access model of the node of its vCard says so,
//! also for what is no node (XEP-0054), and for avatars that come out of a vCard.

use wello_store::Viewers;
use wello_wire::jid::BareJid;
use wello_wire::ns;

use super::super::config::AccessModel;
use super::super::own::Own;
use super::super::refusals::Refusal;

/// The nodes that are a profile.
const NODES: [&str; 3] = [ns::VCARD4_NODE, ns::AVATAR_METADATA, ns::AVATAR_DATA];

pub(super) fn access(viewers: Viewers) -> AccessModel {
    match viewers {
        Viewers::Everyone => AccessModel::Open,
        Viewers::Contacts => AccessModel::Presence,
        Viewers::Nobody => AccessModel::Whitelist,
    }
}

/// What the account's owner sees; `None` when the node has other rules than these.
fn viewers(access: AccessModel) -> Option<Viewers> {
    match access {
        AccessModel::Open => Some(Viewers::Everyone),
        AccessModel::Presence => Some(Viewers::Contacts),
        AccessModel::Whitelist => Some(Viewers::Nobody),
        AccessModel::Authorize | AccessModel::Roster => None,
    }
}

/// The access model that holds for the profile.
pub(crate) async fn model(own: &Own<'_>) -> Result<AccessModel, Refusal> {
    let node = own.node(ns::VCARD4_NODE).await?;
    Ok(node.map_or_else(|| own.defaults(ns::VCARD4_NODE).access, |node| node.config.access))
}

/// Whom the profile is shown to, if that can be said in one word.
pub(crate) async fn to_whom(own: &Own<'_>) -> Result<Option<Viewers>, Refusal> {
    Ok(viewers(model(own).await?))
}

/// Whether somebody may read the vCard.
pub(crate) async fn is_shown(own: &Own<'_>, viewer: &BareJid) -> Result<bool, Refusal> {
    if viewer == own.account() {
        return Ok(true);
    }
    match own.node(ns::VCARD4_NODE).await? {
        Some(node) => own.lets_read(&node, viewer).await,
        None => Ok(match viewers(own.defaults(ns::VCARD4_NODE).access) {
            Some(Viewers::Everyone) => true,
            Some(Viewers::Contacts) => own.kernel.is_subscriber(own.account(), viewer).await,
            Some(Viewers::Nobody) | None => false,
        }),
    }
}

/// Shows the profile to these from now on.
pub(crate) async fn show(own: &Own<'_>, to: Viewers) -> Result<(), Refusal> {
    for node in NODES {
        own.set_access(node, access(to)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_an_access_model() {
        for choice in [Viewers::Everyone, Viewers::Contacts, Viewers::Nobody] {
            assert_eq!(viewers(access(choice)), Some(choice));
        }
        assert_eq!(viewers(AccessModel::Roster), None);
    }
}
