//! What is put off: moving recent rows, the full-text index, removing what is expired or purged.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::StoreError;

/// Rows of `archive_recent` moved in one transaction; they keep a batch waiting for a few milliseconds.
const MOVE_ROWS: i64 = 1_024;

/// Messages indexed in one transaction.
const INDEX_ROWS: i64 = 500;

/// Rows of a purged archive removed in one transaction.
const PURGE_ROWS: i64 = 500;

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";

const COUNT_RECENT: &str = "SELECT count(*) FROM archive_recent";
const COUNT_UNINDEXED: &str =
    "SELECT count(*) FROM message WHERE id > (SELECT indexed FROM archive_progress)";

const SLICE_END: &str = "SELECT owner, id FROM archive_recent WHERE (owner, id) > ($1, $2)
    ORDER BY owner, id LIMIT 1 OFFSET $3";
// OR IGNORE: an id that is in the archive already must not stop the move for ever.
const MOVE_SLICE: &str = "INSERT OR IGNORE INTO archive (owner, id, message, peer)
    SELECT owner, id, message, peer FROM archive_recent
    WHERE (owner, id) > ($1, $2) AND (owner, id) <= ($3, $4) ORDER BY owner, id";
const DROP_SLICE: &str =
    "DELETE FROM archive_recent WHERE (owner, id) > ($1, $2) AND (owner, id) <= ($3, $4)";
const MOVE_OLD: &str = "INSERT OR IGNORE INTO archive (owner, id, message, peer)
    SELECT owner, id, message, peer FROM archive_recent WHERE id < $1";
const DROP_OLD: &str = "DELETE FROM archive_recent WHERE id < $1";
const MOVE_OWNER: &str = "INSERT OR IGNORE INTO archive (owner, id, message, peer)
    SELECT owner, id, message, peer FROM archive_recent WHERE owner = $1";
const DROP_OWNER: &str = "DELETE FROM archive_recent WHERE owner = $1";

const INDEX_END: &str = "SELECT max(id), count(text), count(*) FROM (SELECT id, text FROM message
    WHERE id > (SELECT indexed FROM archive_progress) ORDER BY id LIMIT $1)";
const INDEX: &str = "INSERT INTO message_fts (rowid, owners, body)
    SELECT id, owners, text FROM message
    WHERE id > (SELECT indexed FROM archive_progress) AND id <= $1
        AND text IS NOT NULL AND owners <> ''";
const INDEXED: &str = "UPDATE archive_progress SET indexed = $1";

const PURGE: &str = "UPDATE archive_owner SET jid = NULL WHERE jid = $1";
const PURGE_PREFS: &str = "DELETE FROM archive_prefs WHERE owner = $1";
const NEXT_EPOCH: &str = "UPDATE archive_progress SET owner_epoch = owner_epoch + 1";
const PURGED: &str = "SELECT id FROM archive_owner WHERE jid IS NULL LIMIT 1";
const PURGED_ROWS: &str = "SELECT owner, id, message FROM archive WHERE owner = $1 LIMIT $2";
const PURGED_OFFLINE: &str =
    "SELECT owner, message, message FROM offline WHERE owner = $1 LIMIT $2";
const DROP_PURGED: &str = "DELETE FROM archive_owner WHERE id = $1";

const OLD_ROWS: &str = "SELECT a.owner, a.id
    FROM archive_owner o CROSS JOIN archive a ON a.owner = o.id
    WHERE a.id < $1 AND ($2 IS NULL OR o.jid = $2) LIMIT $3";
const DROP_ROWS: &str = "DELETE FROM archive WHERE (owner, id) IN
    (SELECT value ->> 0, value ->> 1 FROM json_each($1)) RETURNING message";
const DROP_OFFLINE: &str = "DELETE FROM offline WHERE (owner, message) IN
    (SELECT value ->> 0, value ->> 1 FROM json_each($1)) RETURNING message";

const DROP_MESSAGES: &str = "DELETE FROM message WHERE id IN
    (SELECT m.id FROM json_each($1) j CROSS JOIN message m ON m.id = j.value ->> 0
        WHERE m.refs <= j.value ->> 1)
    RETURNING id";
const DROP_REFS: &str = "UPDATE message SET refs = refs - (j.value ->> 1) FROM json_each($1) j
    WHERE message.id = j.value ->> 0";
const DROP_WORDS: &str = "DELETE FROM message_fts WHERE rowid IN (SELECT value FROM json_each($1))";

/// `(owner, archive id)` of a row, or `(owner, message)` of an offline message.
type Key = (i64, i64);

pub(super) async fn count_recent(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT_RECENT).fetch_one(conn).await?;
    crate::column::number(count)
}

pub(super) async fn count_unindexed(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT_UNINDEXED).fetch_one(conn).await?;
    crate::column::number(count)
}

/// Moves the rows after `from` into the archive; how many, and from where the next slice goes on.
/// Going round by owner moves all rows of an owner together, which is what saves pages.
pub(super) async fn move_slice(
    conn: &mut SqliteConnection,
    from: (i64, i64),
) -> Result<(u64, (i64, i64)), StoreError> {
    sqlx::query(BEGIN).execute(&mut *conn).await?;
    let end: Option<(i64, i64)> = sqlx::query_as(SLICE_END)
        .bind(from.0)
        .bind(from.1)
        .bind(MOVE_ROWS - 1)
        .fetch_optional(&mut *conn)
        .await?;
    let to = end.unwrap_or((i64::MAX, i64::MAX));
    let mut moved = 0;
    for statement in [MOVE_SLICE, DROP_SLICE] {
        moved = sqlx::query(statement)
            .bind(from.0)
            .bind(from.1)
            .bind(to.0)
            .bind(to.1)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    sqlx::query(COMMIT).execute(conn).await?;
    Ok((moved, end.unwrap_or((0, 0))))
}

/// What one slice of indexing did.
pub(super) struct Indexed {
    pub(super) indexed: u64,
    pub(super) more: bool,
}

/// Brings the next messages into the full-text index.
pub(super) async fn index_slice(conn: &mut SqliteConnection) -> Result<Indexed, StoreError> {
    sqlx::query(BEGIN).execute(&mut *conn).await?;
    let slice = index_within(conn).await?;
    sqlx::query(COMMIT).execute(conn).await?;
    Ok(slice)
}

pub(super) async fn index_within(conn: &mut SqliteConnection) -> Result<Indexed, StoreError> {
    let (last, texts, messages): (Option<i64>, i64, i64) =
        sqlx::query_as(INDEX_END).bind(INDEX_ROWS).fetch_one(&mut *conn).await?;
    let Some(last) = last else {
        return Ok(Indexed { indexed: 0, more: false });
    };
    for statement in [INDEX, INDEXED] {
        sqlx::query(statement).bind(last).execute(&mut *conn).await?;
    }
    Ok(Indexed { indexed: crate::column::number(texts)?, more: messages == INDEX_ROWS })
}

/// Takes an archive, with its offline messages and preferences, away from its owner. Its rows go later, in
/// slices: there may be a million of them.
pub(super) async fn purge(conn: &mut SqliteConnection, owner: &str) -> Result<(), StoreError> {
    for statement in [PURGE, PURGE_PREFS] {
        sqlx::query(statement).bind(owner).execute(&mut *conn).await?;
    }
    sqlx::query(NEXT_EPOCH).execute(conn).await?;
    Ok(())
}

/// Removes rows of a purged archive; `false` when there is none.
pub(super) async fn purge_slice(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    sqlx::query(BEGIN).execute(&mut *conn).await?;
    let more = purge_within(conn).await?;
    sqlx::query(COMMIT).execute(conn).await?;
    Ok(more)
}

pub(super) async fn purge_within(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let owner: Option<i64> = sqlx::query_scalar(PURGED).fetch_optional(&mut *conn).await?;
    let Some(owner) = owner else {
        return Ok(false);
    };
    for statement in [MOVE_OWNER, DROP_OWNER] {
        sqlx::query(statement).bind(owner).execute(&mut *conn).await?;
    }
    let archived: Vec<Key> =
        sqlx::query_as(PURGED_ROWS).bind(owner).bind(PURGE_ROWS).fetch_all(&mut *conn).await?;
    if !archived.is_empty() {
        drop_rows(conn, DROP_ROWS, &archived).await?;
        return Ok(true);
    }
    let offline: Vec<Key> =
        sqlx::query_as(PURGED_OFFLINE).bind(owner).bind(PURGE_ROWS).fetch_all(&mut *conn).await?;
    if offline.is_empty() {
        sqlx::query(DROP_PURGED).bind(owner).execute(conn).await?;
    } else {
        drop_offline(conn, &offline).await?;
    }
    Ok(true)
}

/// Does one piece of work within a transaction; `false` when nothing is left.
pub(super) async fn piece(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let slice = index_within(conn).await?;
    if slice.more || slice.indexed > 0 {
        return Ok(true);
    }
    purge_within(conn).await
}

/// Removes up to `limit` archive rows with ids below `before`; how many.
pub(super) async fn expire(
    conn: &mut SqliteConnection,
    owner: Option<&str>,
    before: i64,
    limit: u32,
) -> Result<u64, StoreError> {
    for statement in [MOVE_OLD, DROP_OLD] {
        sqlx::query(statement).bind(before).execute(&mut *conn).await?;
    }
    let old: Vec<Key> = sqlx::query_as(OLD_ROWS)
        .bind(before)
        .bind(owner)
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    drop_rows(conn, DROP_ROWS, &old).await
}

pub(super) async fn drop_offline(
    conn: &mut SqliteConnection,
    keys: &[Key],
) -> Result<u64, StoreError> {
    drop_rows(conn, DROP_OFFLINE, keys).await
}

/// Removes rows and lets go of their messages; how many.
async fn drop_rows(
    conn: &mut SqliteConnection,
    statement: &'static str,
    keys: &[Key],
) -> Result<u64, StoreError> {
    let messages: Vec<i64> = sqlx::query_scalar(statement)
        .bind(serde_json::json!(keys).to_string())
        .fetch_all(&mut *conn)
        .await?;
    release(conn, &messages).await?;
    Ok(messages.len() as u64)
}

/// Messages that nothing points to any more are removed.
async fn release(conn: &mut SqliteConnection, messages: &[i64]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut released = HashMap::<i64, i64>::new();
    for message in messages {
        *released.entry(*message).or_default() += 1;
    }
    let released: Vec<_> = released.into_iter().collect();
    let released = serde_json::json!(released).to_string();
    let dropped: Vec<i64> =
        sqlx::query_scalar(DROP_MESSAGES).bind(&released).fetch_all(&mut *conn).await?;
    sqlx::query(DROP_REFS).bind(&released).execute(&mut *conn).await?;
    let dropped = serde_json::json!(dropped).to_string();
    sqlx::query(DROP_WORDS).bind(dropped).execute(conn).await?;
    Ok(())
}
