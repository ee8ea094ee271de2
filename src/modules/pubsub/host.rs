//! The two places where nodes are: an account (XEP-0163) and the service of a host.

use std::collections::HashMap;
use std::sync::Arc;

use wello_kernel::Kernel;
use wello_store::{
    Affiliation, NewNode, NodeCreation, NodeSubscription, PubSubNode, Role, RosterItem,
    Subscription, SubscriptionState, Timestamp,
};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;

use super::config::{AccessModel, Limits, NodeConfig};
use super::policy::{Contact, Standing};
use super::profiles;
use super::refusals::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Account(BareJid),
    Service(BareJid),
}

/// A node with its configuration read.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) row: PubSubNode,
    pub(crate) config: NodeConfig,
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        &self.row.name
    }
}

/// What somebody is to all nodes of a host, read at once.
pub(crate) struct Viewer {
    owns_all: bool,
    affiliations: HashMap<String, Affiliation>,
    subscriptions: Vec<(String, NodeSubscription)>,
    /// What it is to the owner of an account's nodes, once that was asked.
    contact: Option<Contact>,
}

/// Somebody asks something of a host.
pub(crate) struct Call<'a> {
    pub(crate) kernel: &'a Arc<Kernel>,
    pub(crate) host: &'a Host,
    pub(crate) from: &'a Jid,
}

pub(crate) fn limits(kernel: &Kernel) -> Limits {
    let config = &kernel.config.pubsub;
    Limits { items: config.items, item_bytes: config.item_bytes }
}

impl Host {
    pub(crate) fn address(&self) -> &BareJid {
        match self {
            Host::Account(address) | Host::Service(address) => address,
        }
    }

    /// What a new node of that name is like.
    pub(crate) fn defaults(&self, kernel: &Kernel, node: &str) -> NodeConfig {
        match self {
            Host::Account(account) => {
                let profile = kernel.config.privacy_of(account.domain()).profile;
                profiles::defaults(NodeConfig::of_account(limits(kernel)), node, profile)
            }
            Host::Service(_) => NodeConfig::of_service(limits(kernel)),
        }
    }

    pub(crate) fn read(&self, kernel: &Kernel, row: PubSubNode) -> Node {
        let config = self.defaults(kernel, &row.name).stored(&row.config);
        Node { row, config }
    }
}

impl Call<'_> {
    pub(crate) fn who(&self) -> BareJid {
        self.from.bare()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.kernel.clock.now()
    }

    pub(crate) fn is_account_owner(&self) -> bool {
        matches!(self.host, Host::Account(account) if account.as_str() == self.from.bare_str())
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Option<Node>, Refusal> {
        let row = self.kernel.store.pubsub.node(self.host.address().as_str(), name).await?;
        Ok(row.map(|row| self.host.read(self.kernel, row)))
    }

    pub(crate) async fn node(&self, name: &str) -> Result<Node, Refusal> {
        self.find(name).await?.ok_or(Refusal::NotFound("no such node"))
    }

    /// The node, for one of its owners.
    pub(crate) async fn owned(&self, name: &str) -> Result<Node, Refusal> {
        let node = self.node(name).await?;
        super::policy::may_own(&self.standing(&node).await?)?;
        Ok(node)
    }

    pub(crate) async fn standing(&self, node: &Node) -> Result<Standing, Refusal> {
        self.standing_of(node, &self.who()).await
    }

    pub(crate) async fn standing_of(
        &self,
        node: &Node,
        who: &BareJid,
    ) -> Result<Standing, Refusal> {
        let relation =
            self.kernel.store.pubsub.relation(node.row.id, who.as_str(), self.now()).await?;
        let states = relation.subscriptions.iter().map(|subscription| subscription.state);
        let mut standing = Standing {
            affiliation: relation.affiliation,
            subscription: strongest(states),
            contact: Contact::default(),
        };
        if self.owns_by_address(who).await {
            standing.affiliation = Some(Affiliation::Owner);
        }
        if is_by_roster(node) && standing.affiliation.is_none() {
            standing.contact = self.contact(node, who).await?;
        }
        Ok(standing)
    }

    pub(crate) async fn viewer(&self) -> Result<Viewer, Refusal> {
        let (store, who) = (&self.kernel.store.pubsub, self.who());
        let service = self.host.address().as_str();
        Ok(Viewer {
            owns_all: self.owns_by_address(&who).await,
            affiliations: store.affiliations_of(service, who.as_str()).await?.into_iter().collect(),
            subscriptions: store.subscriptions_of(service, who.as_str(), self.now()).await?,
            contact: None,
        })
    }

    /// As [`Call::standing`], for many nodes of one host.
    pub(crate) async fn standing_in(
        &self,
        viewer: &mut Viewer,
        node: &Node,
    ) -> Result<Standing, Refusal> {
        let affiliation = match viewer.owns_all {
            true => Some(Affiliation::Owner),
            false => viewer.affiliations.get(node.name()).copied(),
        };
        let own = viewer.subscriptions.iter().filter(|(name, _)| name == node.name());
        let subscription = strongest(own.map(|(_, subscription)| subscription.state));
        let contact = match (&viewer.contact, self.host) {
            _ if affiliation.is_some() || !is_by_roster(node) => Contact::default(),
            (Some(contact), Host::Account(_)) => contact.clone(),
            _ => self.contact(node, &self.who()).await?,
        };
        if is_by_roster(node) && affiliation.is_none() {
            viewer.contact = Some(contact.clone());
        }
        Ok(Standing { affiliation, subscription, contact })
    }

    /// An account owns all its nodes; an administrator those of the service.
    async fn owns_by_address(&self, who: &BareJid) -> bool {
        match self.host {
            Host::Account(account) => account == who,
            Host::Service(_) => self.kernel.role_of(who).await == Some(Role::Admin),
        }
    }

    /// What somebody is to the owners of a node.
    async fn contact(&self, node: &Node, who: &BareJid) -> Result<Contact, Refusal> {
        let owners = match self.host {
            Host::Account(account) => vec![account.to_string()],
            Host::Service(_) => {
                let all = self.kernel.store.pubsub.affiliations(node.row.id).await?;
                let owners = all.into_iter().filter(|(_, what)| *what == Affiliation::Owner);
                owners.map(|(jid, _)| jid).collect()
            }
        };
        let mut contact = Contact::default();
        for owner in owners {
            let entry = self.kernel.store.roster.entry(&owner, who.as_str()).await?;
            if let Some(item) = entry.item.filter(sees) {
                contact.sees_presence = true;
                contact.groups.extend(item.groups);
            }
        }
        Ok(contact)
    }

    /// Makes a node, its creator the owner.
    pub(crate) async fn create(&self, name: &str, config: NodeConfig) -> Result<Node, Refusal> {
        let who = self.who();
        let owner = match self.host {
            Host::Account(_) => None,
            Host::Service(_) => Some(who.to_string()),
        };
        let new = NewNode {
            service: self.host.address().to_string(),
            name: name.to_owned(),
            creator: who.to_string(),
            created: self.kernel.clock.now(),
            config: config.to_bytes(),
            owner,
        };
        let most = self.kernel.config.pubsub.nodes;
        match self.kernel.store.pubsub.create_node(&new, most).await? {
            NodeCreation::Created(row) => Ok(Node { row, config }),
            NodeCreation::Exists => Err(Refusal::Conflict),
            NodeCreation::TooMany => Err(Refusal::TooManyNodes),
        }
    }
}

/// Whether the owner's roster says who may read.
fn is_by_roster(node: &Node) -> bool {
    matches!(node.config.access, AccessModel::Presence | AccessModel::Roster)
}

/// The contact has a subscription to the owner's presence.
pub(crate) fn sees(item: &RosterItem) -> bool {
    matches!(item.subscription, Subscription::From | Subscription::Both)
}

pub(crate) fn strongest(
    states: impl Iterator<Item = SubscriptionState>,
) -> Option<SubscriptionState> {
    states.max_by_key(|state| *state == SubscriptionState::Subscribed)
}

pub(crate) fn pubsub(child: wello_wire::xml::Element) -> wello_wire::xml::Element {
    wello_wire::xml::Element::new("pubsub", ns::PUBSUB).with_child(child)
}
