//! Statements that read the archive.

use sqlx::PgConnection;

use crate::column::number;
use crate::fulltext::{contains_all, words};
use crate::shape::{MessageRow, Shape, message};
use crate::{ArchiveId, ArchiveStats, ArchivedMessage, StoreError, Timestamp};

/// Conditions on a row `a`, after those that choose the index. Parameters: $1 owner, $2 and $3
/// ids between which it lies, $4 peer, $5 full JID, $6 ids, $7 full-text expression, $8 messages found
/// outside the index, $9 limit.
macro_rules! conditions {
    ($index:literal) => {
        concat!(
            $index,
            " AND a.id > $2 AND a.id < $3 AND ($4::bigint IS NULL OR a.peer = $4)
            AND ($6::bigint[] IS NULL OR a.id = ANY($6))
            AND ($5::text IS NULL OR EXISTS (SELECT 1 FROM message f
                WHERE f.id = a.message AND (f.sender = $5 OR f.recipient = $5)))
            AND ($7::text IS NULL OR a.message = ANY($8::bigint[])
                OR a.message IN (SELECT message FROM message_fts
                    WHERE owners @> ARRAY[$1::bigint] AND body @@ $7::tsquery))"
        )
    };
}

macro_rules! page {
    ($index:literal, $order:literal) => {
        concat!(
            "SELECT p.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza FROM (
                SELECT a.id AS id, a.message AS message FROM archive a WHERE ",
            conditions!($index),
            " ORDER BY a.id ",
            $order,
            " LIMIT $9) p JOIN message m ON m.id = p.message ORDER BY p.id ",
            $order
        )
    };
}

macro_rules! statements {
    ($index:literal) => {
        Statements {
            forwards: page!($index, "ASC"),
            backwards: page!($index, "DESC"),
            count: concat!("SELECT count(*) FROM archive a WHERE ", conditions!($index)),
        }
    };
}

struct Statements {
    forwards: &'static str,
    backwards: &'static str,
    count: &'static str,
}

// The server plans each by the indexes that its fixed conditions name, whatever the parameters are.
const ALL: Statements = statements!("a.owner = $1");
const WITH: Statements = statements!("a.owner = $1 AND a.peer = $4");
const IDS: Statements = statements!("a.owner = $1 AND a.id = ANY($6)");

const OWNER: &str = "SELECT id FROM archive_owner WHERE jid = $1";
const UNKNOWN: &str = "SELECT j FROM unnest($2::bigint[]) AS n (j)
    WHERE NOT EXISTS (SELECT 1 FROM archive WHERE owner = $1 AND id = j) LIMIT 1";
const UNINDEXED: &str = "SELECT a.message, m.text FROM archive a JOIN message m ON m.id = a.message
    WHERE a.owner = $1 AND m.text IS NOT NULL
        AND a.message > (SELECT indexed FROM archive_progress)";
const ONE: &str = "SELECT a.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza
    FROM archive a JOIN message m ON m.id = a.message WHERE a.owner = $1 AND a.id = $2";
const SENT: &str =
    "SELECT p.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza FROM (
        SELECT id, message FROM archive WHERE owner = $1 AND peer = $2
        ORDER BY id DESC LIMIT $5) p
    JOIN message m ON m.id = p.message
    WHERE (m.message_id = $4 OR m.origin_id = $4)
        AND (m.sender = $3 OR left(m.sender, length($3) + 1) = $3 || '/')
    ORDER BY p.id DESC LIMIT 1";
const FIRST: &str = "SELECT a.id, m.time FROM archive a JOIN message m ON m.id = a.message
    WHERE a.owner = $1 ORDER BY a.id ASC LIMIT 1";
const LAST: &str = "SELECT a.id, m.time FROM archive a JOIN message m ON m.id = a.message
    WHERE a.owner = $1 ORDER BY a.id DESC LIMIT 1";
const RETRACT: &str = "UPDATE message SET stanza = $3, text = NULL, retracted = 1
    WHERE id = (SELECT message FROM archive WHERE owner = $1 AND id = $2) RETURNING id";
const DROP_WORDS: &str = "DELETE FROM message_fts WHERE message = $1";
const SIZE: &str = "SELECT count(*), coalesce(sum(length(m.stanza)), 0)::bigint FROM message m
    WHERE m.id IN (SELECT message FROM archive WHERE owner = $1)";
const SIZE_OF_ALL: &str = "SELECT count(*), coalesce(sum(length(stanza)), 0)::bigint FROM message";

fn statements(shape: &Shape) -> &'static Statements {
    if !shape.ids.is_empty() {
        &IDS
    } else if shape.peer.is_some() {
        &WITH
    } else {
        &ALL
    }
}

pub(super) async fn owner(conn: &mut PgConnection, jid: &str) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(OWNER).bind(jid).fetch_optional(conn).await?)
}

/// One of the ids that is not in the archive.
pub(super) async fn unknown(
    conn: &mut PgConnection,
    owner: i64,
    ids: &[i64],
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(UNKNOWN).bind(owner).bind(ids).fetch_optional(conn).await?)
}

/// The full-text conditions of a query.
pub(super) struct Text {
    /// Expression for the index.
    expression: Option<String>,
    /// Messages that match but are not in the index yet.
    unindexed: Vec<i64>,
}

/// What to look for, and where it was found outside the index. `None`: there is no word to look for.
pub(super) async fn text(
    conn: &mut PgConnection,
    owner: i64,
    text: Option<&str>,
) -> Result<Option<Text>, StoreError> {
    let Some(text) = text else {
        return Ok(Some(Text { expression: None, unindexed: Vec::new() }));
    };
    let wanted: Vec<String> = words(text).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let rows: Vec<(i64, String)> = sqlx::query_as(UNINDEXED).bind(owner).fetch_all(conn).await?;
    let matching = rows.into_iter().filter(|(_, text)| contains_all(text, &wanted));
    // Words are letters and digits alone, so quoting them is safe.
    let expression = format!("'{}'", wanted.join("' & '"));
    Ok(Some(Text {
        expression: Some(expression),
        unindexed: matching.map(|(message, _)| message).collect(),
    }))
}

/// Up to `limit` messages in the direction of the shape.
pub(super) async fn page(
    conn: &mut PgConnection,
    owner: i64,
    shape: &Shape,
    text: &Text,
    limit: i64,
) -> Result<Vec<ArchivedMessage>, StoreError> {
    let statements = statements(shape);
    let sql = if shape.backwards { statements.backwards } else { statements.forwards };
    let rows: Vec<MessageRow> = sqlx::query_as(sql)
        .bind(owner)
        .bind(shape.above)
        .bind(shape.below)
        .bind(shape.peer)
        .bind(shape.full_jid.as_deref())
        .bind(ids(shape))
        .bind(text.expression.as_deref())
        .bind(&text.unindexed)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(message).collect()
}

/// All results, wherever the page lies.
pub(super) async fn count(
    conn: &mut PgConnection,
    owner: i64,
    shape: &Shape,
    text: &Text,
) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(statements(shape).count)
        .bind(owner)
        .bind(shape.count_above)
        .bind(shape.count_below)
        .bind(shape.peer)
        .bind(shape.full_jid.as_deref())
        .bind(ids(shape))
        .bind(text.expression.as_deref())
        .bind(&text.unindexed)
        .fetch_one(conn)
        .await?;
    number(count)
}

fn ids(shape: &Shape) -> Option<&[i64]> {
    Some(&shape.ids[..]).filter(|ids| !ids.is_empty())
}

pub(super) async fn one(
    conn: &mut PgConnection,
    owner: i64,
    id: i64,
) -> Result<Option<ArchivedMessage>, StoreError> {
    let row: Option<MessageRow> =
        sqlx::query_as(ONE).bind(owner).bind(id).fetch_optional(conn).await?;
    row.map(message).transpose()
}

pub(super) async fn sent(
    conn: &mut PgConnection,
    owner: i64,
    peer: i64,
    by: &str,
    id: &str,
) -> Result<Option<ArchivedMessage>, StoreError> {
    let row: Option<MessageRow> = sqlx::query_as(SENT)
        .bind(owner)
        .bind(peer)
        .bind(by)
        .bind(id)
        .bind(i64::from(crate::FIND_WITHIN))
        .fetch_optional(conn)
        .await?;
    row.map(message).transpose()
}

/// Ids and times of the oldest and the newest message.
pub(super) async fn ends(
    conn: &mut PgConnection,
    owner: i64,
) -> Result<Option<[(ArchiveId, Timestamp); 2]>, StoreError> {
    let mut ends = Vec::with_capacity(2);
    for statement in [FIRST, LAST] {
        let end: Option<(i64, i64)> =
            sqlx::query_as(statement).bind(owner).fetch_optional(&mut *conn).await?;
        let Some((id, time)) = end else { return Ok(None) };
        ends.push((ArchiveId::from_i64(id), Timestamp::from_micros(time)));
    }
    Ok(Some([ends[0], ends[1]]))
}

/// Replaces a stanza; `false` when there is no such message.
pub(super) async fn retract(
    conn: &mut PgConnection,
    owner: i64,
    id: i64,
    tombstone: &[u8],
) -> Result<bool, StoreError> {
    let message: Option<i64> = sqlx::query_scalar(RETRACT)
        .bind(owner)
        .bind(id)
        .bind(tombstone)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(message) = message else { return Ok(false) };
    sqlx::query(DROP_WORDS).bind(message).execute(conn).await?;
    Ok(true)
}

/// Size of one archive, or of all.
pub(super) async fn size(
    conn: &mut PgConnection,
    owner: Option<i64>,
) -> Result<ArchiveStats, StoreError> {
    let (messages, bytes): (i64, i64) = match owner {
        Some(owner) => sqlx::query_as(SIZE).bind(owner).fetch_one(conn).await?,
        None => sqlx::query_as(SIZE_OF_ALL).fetch_one(conn).await?,
    };
    Ok(ArchiveStats { messages: number(messages)?, bytes: number(bytes)? })
}
