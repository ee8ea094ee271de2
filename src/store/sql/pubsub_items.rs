//! Items of pubsub nodes.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Connection;
use crate::column::{column, number};
use crate::{ItemPage, Items, NodeId, PubSubItem, Publication, Room, StoreError, Timestamp};

// Also takes the lock by which publications to one node wait for each other.
const NEXT_NUMBER: &str =
    "UPDATE pubsub_node SET published = published + 1 WHERE id = $1 RETURNING published";
const REMOVE: &str = "DELETE FROM pubsub_item WHERE node = $1 AND id = $2
    RETURNING CAST(coalesce(length(payload), 0) AS BIGINT)";
const GROW: &str = "UPDATE pubsub_node SET bytes = bytes + $2 WHERE id = $1";
const EMPTY: &str = "UPDATE pubsub_node SET bytes = 0 WHERE id = $1";
const USED: &str = "SELECT CAST(coalesce(sum(n.bytes), 0) AS BIGINT)
    FROM pubsub_node n JOIN pubsub_node this
        ON n.service = this.service AND n.creator = this.creator
    WHERE this.id = $1";
const SIZE: &str = "SELECT CAST(coalesce(length(payload), 0) AS BIGINT) FROM pubsub_item
    WHERE node = $1 AND id = $2";
const INSERT: &str = "INSERT INTO pubsub_item (node, id, number, publisher, time, payload)
    VALUES ($1, $2, $3, $4, $5, $6)";
const COUNT: &str = "SELECT count(*) FROM pubsub_item WHERE node = $1";
const COUNT_BEFORE: &str = "SELECT count(*) FROM pubsub_item WHERE node = $1 AND number < $2";
const NUMBER: &str = "SELECT number FROM pubsub_item WHERE node = $1 AND id = $2";
const OLDEST: &str = "SELECT id FROM pubsub_item WHERE node = $1 ORDER BY number LIMIT $2";
const FORWARDS: &str = "SELECT id, publisher, time, payload, number FROM pubsub_item
    WHERE node = $1 AND number > $2 AND number < $3 ORDER BY number LIMIT $4 OFFSET $5";
const BACKWARDS: &str = "SELECT id, publisher, time, payload, number FROM pubsub_item
    WHERE node = $1 AND number > $2 AND number < $3 ORDER BY number DESC LIMIT $4 OFFSET $5";
const BY_ID: &str = "SELECT id, publisher, time, payload, number FROM pubsub_item
    WHERE node = $1 AND id = $2";
const LAST: &str = "SELECT id, publisher, time, payload, number FROM pubsub_item
    WHERE node = $1 ORDER BY number DESC LIMIT 1";
const IDS: &str = "SELECT id FROM pubsub_item WHERE node = $1 ORDER BY number DESC LIMIT $2";
const PURGE: &str = "DELETE FROM pubsub_item WHERE node = $1";

type ItemRow = (String, String, i64, Option<Vec<u8>>, i64);

pub(super) async fn publish(
    conn: &mut Connection,
    node: NodeId,
    new: &PubSubItem,
    room: Room,
) -> Result<Publication, StoreError> {
    let number: Option<i64> =
        sqlx::query_scalar(NEXT_NUMBER).bind(node.0).fetch_optional(&mut *conn).await?;
    let Some(number) = number else { return Ok(Publication::NoNode) };
    let replaced: Option<i64> =
        sqlx::query_scalar(SIZE).bind(node.0).bind(&new.id).fetch_optional(&mut *conn).await?;
    let count: i64 = sqlx::query_scalar(COUNT).bind(node.0).fetch_one(&mut *conn).await?;
    // What was there before has its place.
    if room.reject && replaced.is_none() && count >= column(room.items) {
        return Ok(Publication::Full);
    }
    let used: i64 = sqlx::query_scalar(USED).bind(node.0).fetch_one(&mut *conn).await?;
    let size = new.payload.as_ref().map_or(0, |payload| column(payload.len() as u64));
    let more = size - replaced.unwrap_or_default();
    // Whoever takes no more than before is let in, also where the limit was lowered.
    if more > 0 && used.saturating_add(more) > column(room.bytes) {
        return Ok(Publication::TooMuch);
    }
    retract(conn, node, &new.id).await?;
    let gone = shorten(conn, node, room.items.saturating_sub(1)).await?;
    sqlx::query(INSERT)
        .bind(node.0)
        .bind(&new.id)
        .bind(number)
        .bind(&new.publisher)
        .bind(new.time.as_micros())
        .bind(new.payload.as_ref().map(|payload| payload.to_vec()))
        .execute(&mut *conn)
        .await?;
    sqlx::query(GROW).bind(node.0).bind(size).execute(conn).await?;
    Ok(Publication::Stored(gone))
}

/// Removes the oldest items until `keep` are left; their ids.
pub(super) async fn shorten(
    conn: &mut Connection,
    node: NodeId,
    keep: u64,
) -> Result<Vec<String>, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT).bind(node.0).fetch_one(&mut *conn).await?;
    let surplus = count.saturating_sub(column(keep));
    if surplus <= 0 {
        return Ok(Vec::new());
    }
    let gone: Vec<String> =
        sqlx::query_scalar(OLDEST).bind(node.0).bind(surplus).fetch_all(&mut *conn).await?;
    for id in &gone {
        retract(conn, node, id).await?;
    }
    Ok(gone)
}

pub(super) async fn page(
    conn: &mut Connection,
    node: NodeId,
    page: &ItemPage,
) -> Result<Option<Items>, StoreError> {
    let Some(above) = bound(conn, node, page.after.as_deref(), i64::MIN).await? else {
        return Ok(None);
    };
    let Some(below) = bound(conn, node, page.before.as_deref(), i64::MAX).await? else {
        return Ok(None);
    };
    let mut found = Vec::new();
    let mut bytes = 0;
    {
        let mut rows = sqlx::query_as(if page.backwards { BACKWARDS } else { FORWARDS })
            .bind(node.0)
            .bind(above)
            .bind(below)
            .bind(i64::from(page.max))
            .bind(i64::from(page.skip))
            .fetch(&mut *conn);
        while let Some(row) = rows.try_next().await? {
            let row: ItemRow = row;
            bytes += row.0.len() + row.3.as_ref().map_or(0, Vec::len);
            if !found.is_empty() && bytes > page.max_bytes {
                break;
            }
            found.push(row);
        }
    }
    if page.backwards {
        found.reverse();
    }
    let count: i64 = sqlx::query_scalar(COUNT).bind(node.0).fetch_one(&mut *conn).await?;
    let index: i64 = match found.first() {
        Some(first) => {
            sqlx::query_scalar(COUNT_BEFORE).bind(node.0).bind(first.4).fetch_one(conn).await?
        }
        None => 0,
    };
    let items = found.into_iter().map(item).collect();
    Ok(Some(Items { items, index: number(index)?, count: number(count)? }))
}

/// The number of the item with that id; `None` when there is none.
async fn bound(
    conn: &mut Connection,
    node: NodeId,
    id: Option<&str>,
    without: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = id else { return Ok(Some(without)) };
    Ok(sqlx::query_scalar(NUMBER).bind(node.0).bind(id).fetch_optional(conn).await?)
}

pub(super) async fn by_id(
    conn: &mut Connection,
    node: NodeId,
    ids: &[String],
    max_bytes: usize,
) -> Result<Vec<PubSubItem>, StoreError> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for id in ids {
        let row: Option<ItemRow> =
            sqlx::query_as(BY_ID).bind(node.0).bind(id).fetch_optional(&mut *conn).await?;
        let Some(item) = row.map(item) else { continue };
        bytes += item.id.len() + item.payload.as_ref().map_or(0, Bytes::len);
        if !found.is_empty() && bytes > max_bytes {
            break;
        }
        found.push(item);
    }
    Ok(found)
}

pub(super) async fn last(
    conn: &mut Connection,
    node: NodeId,
) -> Result<Option<PubSubItem>, StoreError> {
    let row: Option<ItemRow> = sqlx::query_as(LAST).bind(node.0).fetch_optional(conn).await?;
    Ok(row.map(item))
}

pub(super) async fn ids(
    conn: &mut Connection,
    node: NodeId,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    let mut ids: Vec<String> =
        sqlx::query_scalar(IDS).bind(node.0).bind(i64::from(limit)).fetch_all(conn).await?;
    ids.reverse();
    Ok(ids)
}

pub(super) async fn retract(
    conn: &mut Connection,
    node: NodeId,
    id: &str,
) -> Result<bool, StoreError> {
    let size: Option<i64> =
        sqlx::query_scalar(REMOVE).bind(node.0).bind(id).fetch_optional(&mut *conn).await?;
    if let Some(size) = size {
        sqlx::query(GROW).bind(node.0).bind(-size).execute(conn).await?;
    }
    Ok(size.is_some())
}

pub(super) async fn purge(conn: &mut Connection, node: NodeId) -> Result<u64, StoreError> {
    sqlx::query(EMPTY).bind(node.0).execute(&mut *conn).await?;
    Ok(sqlx::query(PURGE).bind(node.0).execute(conn).await?.rows_affected())
}

fn item(row: ItemRow) -> PubSubItem {
    let (id, publisher, time, payload, _) = row;
    PubSubItem {
        id,
        publisher,
        time: Timestamp::from_micros(time),
        payload: payload.map(Bytes::from),
    }
}
