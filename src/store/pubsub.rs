//! Nodes of pubsub services and of accounts, with their affiliations, subscriptions and items (XEP-0060).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp, words::words};

/// Names a node in the store. Never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub i64);

/// A node as it is kept. Who it belongs to is in its affiliations, or in the service's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubNode {
    pub id: NodeId,
    /// Bare JID of an account, or the domain of a service.
    pub service: String,
    pub name: String,
    /// Bare JID.
    pub creator: String,
    pub created: Timestamp,
    /// The data form of its configuration.
    pub config: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    pub service: String,
    pub name: String,
    /// Bare JID.
    pub creator: String,
    pub created: Timestamp,
    pub config: Bytes,
    /// The first owner (bare JID); none where the service's address says who that is.
    pub owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCreation {
    Created(PubSubNode),
    Exists,
    /// The creator has as many nodes at this service as allowed.
    TooMany,
}

/// XEP-0060, section 4.1; "none" is no affiliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Affiliation {
    Owner,
    Publisher,
    PublishOnly,
    Member,
    Outcast,
}

words!(Affiliation {
    Owner = "owner",
    Publisher = "publisher",
    PublishOnly = "publish-only",
    Member = "member",
    Outcast = "outcast",
});

/// XEP-0060, section 4.2; "none" is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    Pending,
    Subscribed,
}

words!(SubscriptionState {
    Pending = "pending",
    Subscribed = "subscribed",
});

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubscription {
    /// As it was subscribed: bare or full.
    pub jid: String,
    /// The same without a resource.
    pub bare: String,
    pub state: SubscriptionState,
    pub options: SubscriptionOptions,
}

/// What a subscriber has chosen (XEP-0060, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Events are sent.
    pub deliver: bool,
    /// The subscription ends then (section 12.18).
    pub expires: Option<Timestamp>,
}

impl Default for SubscriptionOptions {
    fn default() -> SubscriptionOptions {
        SubscriptionOptions { deliver: true, expires: None }
    }
}

/// What somebody is to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRelation {
    pub affiliation: Option<Affiliation>,
    pub subscriptions: Vec<NodeSubscription>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubItem {
    pub id: String,
    /// Bare JID.
    pub publisher: String,
    pub time: Timestamp,
    /// The element inside the item; an item may have none.
    pub payload: Option<Bytes>,
}

/// What happens when a node is full (XEP-0060, section 7.1.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Items that the node may have.
    pub items: u64,
    /// The new one is refused, instead of the oldest being removed.
    pub reject: bool,
    /// Of payloads in all nodes that the node's creator made at its service.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// With the ids of the items that had to go.
    Stored(Vec<String>),
    Full,
    /// The creator's nodes hold as many bytes as allowed. Nothing is changed.
    TooMuch,
    /// The node was deleted meanwhile.
    NoNode,
}

/// A page of a node's items in the order of publication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemPage {
    pub max: u32,
    /// The page ends before payloads exceed this, but holds one item at least.
    pub max_bytes: usize,
    /// Ids of items outside of the page.
    pub after: Option<String>,
    pub before: Option<String>,
    /// From the newest item on, or from `before` back.
    pub backwards: bool,
    /// Items to leave out first.
    pub skip: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items {
    pub items: Vec<PubSubItem>,
    /// Items of the node before the first one.
    pub index: u64,
    /// All items of the node.
    pub count: u64,
}

/// Changing calls return when the change is on stable storage. Subscriptions that have ended by `now` are not there.
#[async_trait]
pub trait PubSub: Send + Sync {
    async fn node(&self, service: &str, name: &str) -> Result<Option<PubSubNode>, StoreError>;

    /// The service's nodes in the order of their names, those after `after`.
    async fn nodes(
        &self,
        service: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<PubSubNode>, StoreError>;

    async fn create_node(&self, new: &NewNode, max_nodes: u64) -> Result<NodeCreation, StoreError>;

    /// `false` when there is no such node. Items above `keep` are removed, the oldest first.
    async fn configure_node(
        &self,
        node: NodeId,
        config: &Bytes,
        keep: u64,
    ) -> Result<bool, StoreError>;

    /// With everything that belongs to it; `false` when there was none.
    async fn delete_node(&self, node: NodeId) -> Result<bool, StoreError>;

    /// What the entity (bare JID) is to the node.
    async fn relation(
        &self,
        node: NodeId,
        bare: &str,
        now: Timestamp,
    ) -> Result<NodeRelation, StoreError>;

    async fn affiliations(&self, node: NodeId) -> Result<Vec<(String, Affiliation)>, StoreError>;

    /// Sets or removes affiliations (bare JIDs). `false` when the node would then have more than
    /// `max`; nothing is changed.
    async fn affiliate(
        &self,
        node: NodeId,
        changes: &[(String, Option<Affiliation>)],
        max: u64,
    ) -> Result<bool, StoreError>;

    /// The nodes of a service to which the entity (bare JID) is affiliated.
    async fn affiliations_of(
        &self,
        service: &str,
        bare: &str,
    ) -> Result<Vec<(String, Affiliation)>, StoreError>;

    async fn subscriptions(
        &self,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Vec<NodeSubscription>, StoreError>;

    /// The subscriptions of the entity (bare JID) at a service, with the names of the nodes.
    async fn subscriptions_of(
        &self,
        service: &str,
        bare: &str,
        now: Timestamp,
    ) -> Result<Vec<(String, NodeSubscription)>, StoreError>;

    /// Adds or changes one. `false` when the node has `max` others already.
    async fn subscribe(
        &self,
        node: NodeId,
        subscription: &NodeSubscription,
        max: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// `false` when there was none.
    async fn unsubscribe(&self, node: NodeId, jid: &str) -> Result<bool, StoreError>;

    /// Stores the item as the newest one, in place of an older one with its id.
    async fn publish(
        &self,
        node: NodeId,
        item: &PubSubItem,
        room: Room,
    ) -> Result<Publication, StoreError>;

    /// `None` when `after` or `before` is no item of the node.
    async fn items(&self, node: NodeId, page: &ItemPage) -> Result<Option<Items>, StoreError>;

    /// The items with these ids that are there, in the order of the ids. Ends before payloads
    /// exceed `max_bytes`, but with one item at least.
    async fn items_by_id(
        &self,
        node: NodeId,
        ids: &[String],
        max_bytes: usize,
    ) -> Result<Vec<PubSubItem>, StoreError>;

    /// The newest item of a node.
    async fn last_item(&self, node: NodeId) -> Result<Option<PubSubItem>, StoreError>;

    /// The ids of a node's items, newest last.
    async fn item_ids(&self, node: NodeId, limit: u32) -> Result<Vec<String>, StoreError>;

    /// `false` when there was none.
    async fn retract(&self, node: NodeId, id: &str) -> Result<bool, StoreError>;

    /// Removes all items; how many there were.
    async fn purge(&self, node: NodeId) -> Result<u64, StoreError>;
}
