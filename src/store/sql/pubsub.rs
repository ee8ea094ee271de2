use async_trait::async_trait;
use bytes::Bytes;

use super::{Connection, Database, pubsub_items};
use crate::column::column;
use crate::{
    Affiliation, ItemPage, Items, NewNode, NodeCreation, NodeId, NodeRelation, NodeSubscription,
    PubSub, PubSubItem, PubSubNode, Publication, Room, StoreError, SubscriptionOptions, Timestamp,
};

const NODE: &str = "SELECT id, service, name, creator, created, config FROM pubsub_node
    WHERE service = $1 AND name = $2";
const NODES: &str = "SELECT id, service, name, creator, created, config FROM pubsub_node
    WHERE service = $1 AND name > $2 ORDER BY name LIMIT $3";
const CREATE: &str =
    "INSERT INTO pubsub_node (service, name, creator, created, published, bytes, config)
    VALUES ($1, $2, $3, $4, 0, 0, $5) ON CONFLICT (service, name) DO NOTHING
    RETURNING id, service, name, creator, created, config";
const COUNT_CREATED: &str = "SELECT count(*) FROM pubsub_node WHERE service = $1 AND creator = $2";
const CONFIGURE: &str = "UPDATE pubsub_node SET config = $2 WHERE id = $1";
const DELETE_NODE: &str = "DELETE FROM pubsub_node WHERE id = $1";
const DELETE_PARTS: [&str; 3] = [
    "DELETE FROM pubsub_item WHERE node = $1",
    "DELETE FROM pubsub_subscription WHERE node = $1",
    "DELETE FROM pubsub_affiliation WHERE node = $1",
];

const AFFILIATION: &str = "SELECT affiliation FROM pubsub_affiliation WHERE node = $1 AND jid = $2";
const AFFILIATIONS: &str =
    "SELECT jid, affiliation FROM pubsub_affiliation WHERE node = $1 ORDER BY jid";
const AFFILIATIONS_OF: &str = "SELECT n.name, a.affiliation
    FROM pubsub_affiliation a JOIN pubsub_node n ON n.id = a.node
    WHERE a.jid = $2 AND n.service = $1 ORDER BY n.name";
const SET_AFFILIATION: &str = "INSERT INTO pubsub_affiliation (node, jid, affiliation)
    VALUES ($1, $2, $3) ON CONFLICT (node, jid) DO UPDATE SET affiliation = excluded.affiliation";
const REMOVE_AFFILIATION: &str = "DELETE FROM pubsub_affiliation WHERE node = $1 AND jid = $2";
const COUNT_AFFILIATIONS: &str = "SELECT count(*) FROM pubsub_affiliation WHERE node = $1";

const OWN_SUBSCRIPTIONS: &str = "SELECT jid, bare, state, deliver, expires FROM pubsub_subscription
    WHERE node = $1 AND bare = $2 AND (expires IS NULL OR expires > $3) ORDER BY jid";
const SUBSCRIPTIONS: &str = "SELECT jid, bare, state, deliver, expires FROM pubsub_subscription
    WHERE node = $1 AND (expires IS NULL OR expires > $2) ORDER BY jid";
const SUBSCRIPTIONS_OF: &str = "SELECT n.name, s.jid, s.bare, s.state, s.deliver, s.expires
    FROM pubsub_subscription s JOIN pubsub_node n ON n.id = s.node
    WHERE s.bare = $2 AND n.service = $1 AND (s.expires IS NULL OR s.expires > $3)
    ORDER BY n.name, s.jid";
const END_SUBSCRIPTIONS: &str = "DELETE FROM pubsub_subscription WHERE node = $1 AND expires <= $2";
const COUNT_OTHERS: &str = "SELECT count(*) FROM pubsub_subscription WHERE node = $1 AND jid <> $2";
const SUBSCRIBE: &str = "INSERT INTO pubsub_subscription (node, jid, bare, state, deliver, expires)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (node, jid) DO UPDATE
    SET state = excluded.state, deliver = excluded.deliver, expires = excluded.expires";
const UNSUBSCRIBE: &str = "DELETE FROM pubsub_subscription WHERE node = $1 AND jid = $2";

type NodeRow = (i64, String, String, String, i64, Vec<u8>);
type SubscriptionRow = (String, String, String, i64, Option<i64>);

#[async_trait]
impl PubSub for Database {
    async fn node(&self, service: &str, name: &str) -> Result<Option<PubSubNode>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<NodeRow> =
            sqlx::query_as(NODE).bind(service).bind(name).fetch_optional(&mut *conn).await?;
        Ok(row.map(node))
    }

    async fn nodes(
        &self,
        service: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<PubSubNode>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<NodeRow> = sqlx::query_as(NODES)
            .bind(service)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        Ok(rows.into_iter().map(node).collect())
    }

    async fn create_node(&self, new: &NewNode, max_nodes: u64) -> Result<NodeCreation, StoreError> {
        let new = new.clone();
        self.write(move |conn| Box::pin(async move { create(conn, &new, max_nodes).await })).await
    }

    async fn configure_node(
        &self,
        node: NodeId,
        config: &Bytes,
        keep: u64,
    ) -> Result<bool, StoreError> {
        let config = config.to_vec();
        self.write(move |conn| {
            Box::pin(async move {
                let set =
                    sqlx::query(CONFIGURE).bind(node.0).bind(config).execute(&mut *conn).await?;
                pubsub_items::shorten(conn, node, keep).await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }

    async fn delete_node(&self, node: NodeId) -> Result<bool, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                // First, so that nobody publishes to it meanwhile.
                let gone = sqlx::query(DELETE_NODE).bind(node.0).execute(&mut *conn).await?;
                for statement in DELETE_PARTS {
                    sqlx::query(statement).bind(node.0).execute(&mut *conn).await?;
                }
                Ok(gone.rows_affected() > 0)
            })
        })
        .await
    }

    async fn relation(
        &self,
        node: NodeId,
        bare: &str,
        now: Timestamp,
    ) -> Result<NodeRelation, StoreError> {
        let mut conn = self.read().await?;
        let affiliation: Option<String> = sqlx::query_scalar(AFFILIATION)
            .bind(node.0)
            .bind(bare)
            .fetch_optional(&mut *conn)
            .await?;
        let rows: Vec<SubscriptionRow> = sqlx::query_as(OWN_SUBSCRIPTIONS)
            .bind(node.0)
            .bind(bare)
            .bind(now.as_micros())
            .fetch_all(&mut *conn)
            .await?;
        Ok(NodeRelation {
            affiliation: affiliation.map(|word| word.parse()).transpose()?,
            subscriptions: rows.into_iter().map(subscription).collect::<Result<_, _>>()?,
        })
    }

    async fn affiliations(&self, node: NodeId) -> Result<Vec<(String, Affiliation)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as(AFFILIATIONS).bind(node.0).fetch_all(&mut *conn).await?;
        rows.into_iter().map(|(jid, word)| Ok((jid, word.parse()?))).collect()
    }

    async fn affiliate(
        &self,
        node: NodeId,
        changes: &[(String, Option<Affiliation>)],
        max: u64,
    ) -> Result<bool, StoreError> {
        let changes = changes.to_vec();
        let done: Result<(), TooMany> = self
            .write(move |conn| Box::pin(async move { affiliate(conn, node, &changes, max).await }))
            .await?;
        Ok(done.is_ok())
    }

    async fn affiliations_of(
        &self,
        service: &str,
        bare: &str,
    ) -> Result<Vec<(String, Affiliation)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as(AFFILIATIONS_OF).bind(service).bind(bare).fetch_all(&mut *conn).await?;
        rows.into_iter().map(|(name, word)| Ok((name, word.parse()?))).collect()
    }

    async fn subscriptions(
        &self,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Vec<NodeSubscription>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<SubscriptionRow> = sqlx::query_as(SUBSCRIPTIONS)
            .bind(node.0)
            .bind(now.as_micros())
            .fetch_all(&mut *conn)
            .await?;
        rows.into_iter().map(subscription).collect()
    }

    async fn subscriptions_of(
        &self,
        service: &str,
        bare: &str,
        now: Timestamp,
    ) -> Result<Vec<(String, NodeSubscription)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String, String, String, i64, Option<i64>)> =
            sqlx::query_as(SUBSCRIPTIONS_OF)
                .bind(service)
                .bind(bare)
                .bind(now.as_micros())
                .fetch_all(&mut *conn)
                .await?;
        rows.into_iter()
            .map(|(name, jid, bare, state, deliver, expires)| {
                Ok((name, subscription((jid, bare, state, deliver, expires))?))
            })
            .collect()
    }

    async fn subscribe(
        &self,
        node: NodeId,
        subscription: &NodeSubscription,
        max: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let new = subscription.clone();
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(END_SUBSCRIPTIONS)
                    .bind(node.0)
                    .bind(now.as_micros())
                    .execute(&mut *conn)
                    .await?;
                let others: i64 = sqlx::query_scalar(COUNT_OTHERS)
                    .bind(node.0)
                    .bind(&new.jid)
                    .fetch_one(&mut *conn)
                    .await?;
                if others >= column(max) {
                    return Ok(false);
                }
                sqlx::query(SUBSCRIBE)
                    .bind(node.0)
                    .bind(new.jid)
                    .bind(new.bare)
                    .bind(new.state.as_str())
                    .bind(i64::from(new.options.deliver))
                    .bind(new.options.expires.map(Timestamp::as_micros))
                    .execute(conn)
                    .await?;
                Ok(true)
            })
        })
        .await
    }

    async fn unsubscribe(&self, node: NodeId, jid: &str) -> Result<bool, StoreError> {
        let jid = jid.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let gone = sqlx::query(UNSUBSCRIBE).bind(node.0).bind(jid).execute(conn).await?;
                Ok(gone.rows_affected() > 0)
            })
        })
        .await
    }

    async fn publish(
        &self,
        node: NodeId,
        item: &PubSubItem,
        room: Room,
    ) -> Result<Publication, StoreError> {
        let item = item.clone();
        self.write(move |conn| {
            Box::pin(async move { pubsub_items::publish(conn, node, &item, room).await })
        })
        .await
    }

    async fn items(&self, node: NodeId, page: &ItemPage) -> Result<Option<Items>, StoreError> {
        let mut conn = self.read().await?;
        pubsub_items::page(&mut conn, node, page).await
    }

    async fn items_by_id(
        &self,
        node: NodeId,
        ids: &[String],
        max_bytes: usize,
    ) -> Result<Vec<PubSubItem>, StoreError> {
        let mut conn = self.read().await?;
        pubsub_items::by_id(&mut conn, node, ids, max_bytes).await
    }

    async fn last_item(&self, node: NodeId) -> Result<Option<PubSubItem>, StoreError> {
        let mut conn = self.read().await?;
        pubsub_items::last(&mut conn, node).await
    }

    async fn item_ids(&self, node: NodeId, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        pubsub_items::ids(&mut conn, node, limit).await
    }

    async fn retract(&self, node: NodeId, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |conn| {
            Box::pin(async move { pubsub_items::retract(conn, node, &id).await })
        })
        .await
    }

    async fn purge(&self, node: NodeId) -> Result<u64, StoreError> {
        self.write(move |conn| Box::pin(async move { pubsub_items::purge(conn, node).await })).await
    }
}

async fn create(
    conn: &mut Connection,
    new: &NewNode,
    max_nodes: u64,
) -> Result<NodeCreation, StoreError> {
    let row: Option<NodeRow> =
        sqlx::query_as(NODE).bind(&new.service).bind(&new.name).fetch_optional(&mut *conn).await?;
    if row.is_some() {
        return Ok(NodeCreation::Exists);
    }
    let others: i64 = sqlx::query_scalar(COUNT_CREATED)
        .bind(&new.service)
        .bind(&new.creator)
        .fetch_one(&mut *conn)
        .await?;
    if others >= column(max_nodes) {
        return Ok(NodeCreation::TooMany);
    }
    let row: Option<NodeRow> = sqlx::query_as(CREATE)
        .bind(&new.service)
        .bind(&new.name)
        .bind(&new.creator)
        .bind(new.created.as_micros())
        .bind(new.config.to_vec())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(created) = row.map(node) else { return Ok(NodeCreation::Exists) };
    if let Some(owner) = &new.owner {
        set_affiliation(conn, created.id, owner, Affiliation::Owner).await?;
    }
    Ok(NodeCreation::Created(created))
}

/// The change is refused.
struct TooMany;

async fn affiliate(
    conn: &mut Connection,
    node: NodeId,
    changes: &[(String, Option<Affiliation>)],
    max: u64,
) -> Result<Result<(), TooMany>, StoreError> {
    let count: i64 =
        sqlx::query_scalar(COUNT_AFFILIATIONS).bind(node.0).fetch_one(&mut *conn).await?;
    let added = changes.iter().filter(|(_, affiliation)| affiliation.is_some()).count();
    if count.saturating_add(i64::try_from(added).unwrap_or(i64::MAX)) > column(max) {
        return Ok(Err(TooMany));
    }
    for (jid, affiliation) in changes {
        match affiliation {
            Some(affiliation) => set_affiliation(conn, node, jid, *affiliation).await?,
            None => {
                sqlx::query(REMOVE_AFFILIATION).bind(node.0).bind(jid).execute(&mut *conn).await?;
            }
        }
    }
    Ok(Ok(()))
}

async fn set_affiliation(
    conn: &mut Connection,
    node: NodeId,
    jid: &str,
    affiliation: Affiliation,
) -> Result<(), StoreError> {
    sqlx::query(SET_AFFILIATION)
        .bind(node.0)
        .bind(jid)
        .bind(affiliation.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

fn node(row: NodeRow) -> PubSubNode {
    let (id, service, name, creator, created, config) = row;
    PubSubNode {
        id: NodeId(id),
        service,
        name,
        creator,
        created: Timestamp::from_micros(created),
        config: Bytes::from(config),
    }
}

fn subscription(row: SubscriptionRow) -> Result<NodeSubscription, StoreError> {
    let (jid, bare, state, deliver, expires) = row;
    let expires = expires.map(Timestamp::from_micros);
    let options = SubscriptionOptions { deliver: deliver != 0, expires };
    Ok(NodeSubscription { jid, bare, state: state.parse()?, options })
}
