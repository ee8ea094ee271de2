//! What is put off: the full-text index, removing what is expired or purged.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;

use crate::column::number;
use crate::fulltext::words;
use crate::time::wall_clock;
use crate::{ArchiveId, StoreError};

/// Messages indexed in one transaction.
const INDEX_ROWS: i64 = 500;

/// Rows of a purged archive removed in one transaction.
const PURGE_ROWS: i64 = 500;

// Advisory locks, numbers of our own: 7360001 holds off purges while a batch is written, 7360002 makes one
// process at a time do background work.
pub(super) const BEGIN_APPEND: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(7360001)";
const BEGIN_PURGE: &str = "SELECT pg_advisory_xact_lock(7360001)";
const TRY_WORK: &str = "SELECT pg_try_advisory_xact_lock(7360002)";

const COUNT_UNINDEXED: &str =
    "SELECT count(*) FROM message WHERE id > (SELECT indexed FROM archive_progress)";
// The lock keeps a message from being retracted or removed before its words can be found and removed, too.
const TO_INDEX: &str = "SELECT id, owners, coalesce(text, '') FROM message
    WHERE id > (SELECT indexed FROM archive_progress) AND id < $1 ORDER BY id LIMIT $2 FOR SHARE";
const INDEX: &str = "INSERT INTO message_fts (message, owners, body)
    SELECT message, string_to_array(owners, ' ')::bigint[],
        array_to_tsvector(string_to_array(words, ' '))
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS m (message, owners, words)";
const INDEXED: &str = "UPDATE archive_progress SET indexed = $1";

const PURGE: &str = "UPDATE archive_owner SET jid = NULL WHERE jid = $1";
const PURGE_PREFS: &str = "DELETE FROM archive_prefs WHERE owner = $1";
const PURGED: &str = "SELECT id FROM archive_owner WHERE jid IS NULL LIMIT 1";
const DROP_PURGED_ROWS: &str = "DELETE FROM archive WHERE (owner, id) IN
    (SELECT owner, id FROM archive WHERE owner = $1 LIMIT $2) RETURNING message";
const DROP_PURGED_OFFLINE: &str = "DELETE FROM offline WHERE (owner, message) IN
    (SELECT owner, message FROM offline WHERE owner = $1 LIMIT $2) RETURNING message";
const DROP_PURGED: &str = "DELETE FROM archive_owner WHERE id = $1";

const DROP_OLD: &str = "DELETE FROM archive WHERE (owner, id) IN
    (SELECT a.owner, a.id FROM archive_owner o CROSS JOIN LATERAL
        (SELECT owner, id FROM archive WHERE owner = o.id AND id < $1 LIMIT $3) a
        WHERE $2::text IS NULL OR o.jid = $2 LIMIT $3)
    RETURNING message";
const DROP_OFFLINE: &str = "DELETE FROM offline WHERE (owner, message) IN
    (SELECT * FROM unnest($1::bigint[], $2::bigint[])) RETURNING message";

// In order, so that two transactions that release the same messages wait for each other instead of both failing.
const LOCK_MESSAGES: &str = "SELECT id FROM message WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const DROP_REFS: &str = "UPDATE message SET refs = refs - r.count
    FROM unnest($1::bigint[], $2::bigint[]) AS r (id, count)
    WHERE message.id = r.id AND message.refs > r.count";
const DROP_MESSAGES: &str = "DELETE FROM message
    USING unnest($1::bigint[], $2::bigint[]) AS r (id, count)
    WHERE message.id = r.id AND message.refs <= r.count RETURNING message.id";
const DROP_WORDS: &str = "DELETE FROM message_fts WHERE message = ANY($1)";

pub(super) async fn count_unindexed(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT_UNINDEXED).fetch_one(conn).await?;
    number(count)
}

/// Does one piece of work within a transaction; `false` when nothing is left.
pub(super) async fn piece(conn: &mut PgConnection, lag: Duration) -> Result<bool, StoreError> {
    Ok(index_within(conn, lag).await? > 0 || purge_within(conn).await?)
}

/// Brings the next messages that are older than `lag` into the full-text index; how many it saw.
pub(super) async fn index_within(
    conn: &mut PgConnection,
    lag: Duration,
) -> Result<u64, StoreError> {
    if !may_work(conn).await? {
        return Ok(0);
    }
    let lag = i64::try_from(lag.as_micros()).unwrap_or(i64::MAX);
    let before = ArchiveId::at(wall_clock().plus_micros(lag.saturating_neg()));
    let rows: Vec<(i64, String, String)> = sqlx::query_as(TO_INDEX)
        .bind(before.as_i64())
        .bind(INDEX_ROWS)
        .fetch_all(&mut *conn)
        .await?;
    let Some((last, ..)) = rows.last() else { return Ok(0) };
    let (last, seen) = (*last, rows.len() as u64);
    let (mut messages, mut owners, mut texts) = (vec![], vec![], vec![]);
    for (message, owner, text) in rows {
        let text = words(&text).collect::<Vec<_>>().join(" ");
        if !owner.is_empty() && !text.is_empty() {
            messages.push(message);
            owners.push(owner);
            texts.push(text);
        }
    }
    if !messages.is_empty() {
        sqlx::query(INDEX).bind(messages).bind(owners).bind(texts).execute(&mut *conn).await?;
    }
    sqlx::query(INDEXED).bind(last).execute(conn).await?;
    Ok(seen)
}

/// Takes an archive, with its offline messages and preferences, away from its owner. Its rows go later, in
/// slices: there may be a million of them.
pub(super) async fn purge(conn: &mut PgConnection, owner: &str) -> Result<(), StoreError> {
    sqlx::query(BEGIN_PURGE).execute(&mut *conn).await?;
    for statement in [PURGE, PURGE_PREFS] {
        sqlx::query(statement).bind(owner).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Removes rows of a purged archive within a transaction; `false` when there is none.
pub(super) async fn purge_within(conn: &mut PgConnection) -> Result<bool, StoreError> {
    if !may_work(conn).await? {
        return Ok(false);
    }
    let owner: Option<i64> = sqlx::query_scalar(PURGED).fetch_optional(&mut *conn).await?;
    let Some(owner) = owner else { return Ok(false) };
    for statement in [DROP_PURGED_ROWS, DROP_PURGED_OFFLINE] {
        let messages: Vec<i64> = sqlx::query_scalar(statement)
            .bind(owner)
            .bind(PURGE_ROWS)
            .fetch_all(&mut *conn)
            .await?;
        if !messages.is_empty() {
            release(conn, &messages).await?;
            return Ok(true);
        }
    }
    sqlx::query(DROP_PURGED).bind(owner).execute(conn).await?;
    Ok(true)
}

/// Removes up to `limit` archive rows with ids below `before`; how many.
pub(super) async fn expire(
    conn: &mut PgConnection,
    owner: Option<&str>,
    before: i64,
    limit: u32,
) -> Result<u64, StoreError> {
    let messages: Vec<i64> = sqlx::query_scalar(DROP_OLD)
        .bind(before)
        .bind(owner)
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    release(conn, &messages).await?;
    Ok(messages.len() as u64)
}

/// Removes offline messages by `(owner, message)`; how many were still there.
pub(super) async fn drop_offline(
    conn: &mut PgConnection,
    keys: &[(i64, i64)],
) -> Result<u64, StoreError> {
    let (owners, messages): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
    let messages: Vec<i64> =
        sqlx::query_scalar(DROP_OFFLINE).bind(owners).bind(messages).fetch_all(&mut *conn).await?;
    release(conn, &messages).await?;
    Ok(messages.len() as u64)
}

/// Messages that nothing points to any more are removed.
async fn release(conn: &mut PgConnection, messages: &[i64]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut released = BTreeMap::<i64, i64>::new();
    for message in messages {
        *released.entry(*message).or_default() += 1;
    }
    let (ids, counts): (Vec<i64>, Vec<i64>) = released.into_iter().unzip();
    sqlx::query(LOCK_MESSAGES).bind(&ids).execute(&mut *conn).await?;
    // First those that go: afterwards the others would look like them.
    let dropped: Vec<i64> =
        sqlx::query_scalar(DROP_MESSAGES).bind(&ids).bind(&counts).fetch_all(&mut *conn).await?;
    sqlx::query(DROP_REFS).bind(&ids).bind(&counts).execute(&mut *conn).await?;
    sqlx::query(DROP_WORDS).bind(dropped).execute(conn).await?;
    Ok(())
}

/// Whether this transaction is the one that does background work.
async fn may_work(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(TRY_WORK).fetch_one(conn).await?)
}
