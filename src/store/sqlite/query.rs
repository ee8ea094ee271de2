//! Statements that read the archive. Rows are in `archive` or still in `archive_recent`; each
//! statement asks both, and SQLite merges the two in the order of their ids.

use sqlx::SqliteConnection;

use crate::column::number;
use crate::fulltext::{contains_all, words};
use crate::shape::{MessageRow, Shape, message};
use crate::{ArchiveId, ArchiveStats, ArchivedMessage, StoreError, Timestamp};

/// Conditions on a row `a`, after those that choose the index. Parameters: $1 owner, $2 and $3
/// ids between which it lies, $4 peer, $5 full JID, $6 list of ids, $7 full-text expression,
/// $8 messages found outside the index, $9 limit.
macro_rules! conditions {
    ($index:literal) => {
        concat!(
            $index,
            " AND a.id > $2 AND a.id < $3
            AND ($5 IS NULL OR EXISTS (SELECT 1 FROM message f
                WHERE f.id = a.message AND (f.sender = $5 OR f.recipient = $5)))
            AND ($7 IS NULL
                OR a.message IN (SELECT rowid FROM message_fts WHERE message_fts MATCH $7)
                OR a.message IN (SELECT value FROM json_each($8)))"
        )
    };
}

macro_rules! page {
    ($index:literal, $order:literal) => {
        concat!(
            "SELECT p.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza FROM (
                SELECT a.id AS id, a.message AS message FROM archive a WHERE ",
            conditions!($index),
            " UNION ALL SELECT a.id, a.message FROM archive_recent a WHERE ",
            conditions!($index),
            " ORDER BY 1 ",
            $order,
            " LIMIT $9) p CROSS JOIN message m ON m.id = p.message ORDER BY p.id ",
            $order
        )
    };
}

macro_rules! count {
    ($index:literal) => {
        concat!(
            "SELECT (SELECT count(*) FROM archive a WHERE ",
            conditions!($index),
            ") + (SELECT count(*) FROM archive_recent a WHERE ",
            conditions!($index),
            ")"
        )
    };
}

macro_rules! statements {
    ($index:literal) => {
        Statements {
            forwards: page!($index, "ASC"),
            backwards: page!($index, "DESC"),
            count: count!($index),
        }
    };
}

struct Statements {
    forwards: &'static str,
    backwards: &'static str,
    count: &'static str,
}

const ALL: Statements = statements!("a.owner = $1");
const WITH: Statements = statements!("a.owner = $1 AND a.peer = $4");
const IDS: Statements = statements!(
    "a.owner = $1 AND a.id IN (SELECT value FROM json_each($6)) AND ($4 IS NULL OR a.peer = $4)"
);

const OWNER: &str = "SELECT id FROM archive_owner WHERE jid = $1";
const UNKNOWN: &str = "SELECT j.value FROM json_each($2) j
    WHERE NOT EXISTS (SELECT 1 FROM archive WHERE owner = $1 AND id = j.value)
    AND NOT EXISTS (SELECT 1 FROM archive_recent WHERE owner = $1 AND id = j.value) LIMIT 1";
const UNINDEXED: &str = "SELECT a.message, m.text FROM archive_recent a
        CROSS JOIN message m ON m.id = a.message
        WHERE a.owner = $1 AND m.text IS NOT NULL
            AND a.message > (SELECT indexed FROM archive_progress)
    UNION ALL SELECT a.message, m.text FROM archive a
        CROSS JOIN message m ON m.id = a.message
        WHERE a.owner = $1 AND m.text IS NOT NULL
            AND a.message > (SELECT indexed FROM archive_progress)";
const ONE: &str = "SELECT p.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza FROM (
        SELECT id, message FROM archive WHERE owner = $1 AND id = $2
        UNION ALL SELECT id, message FROM archive_recent WHERE owner = $1 AND id = $2) p
    CROSS JOIN message m ON m.id = p.message LIMIT 1";
const SENT: &str =
    "SELECT p.id, m.time, m.kind, m.retracted, m.sender, m.recipient, m.stanza FROM (
        SELECT id, message FROM archive WHERE owner = $1 AND peer = $2
        UNION ALL SELECT id, message FROM archive_recent WHERE owner = $1 AND peer = $2
        ORDER BY 1 DESC LIMIT $5) p
    CROSS JOIN message m ON m.id = p.message
    WHERE (m.message_id = $4 OR m.origin_id = $4)
        AND (m.sender = $3 OR substr(m.sender, 1, length($3) + 1) = $3 || '/')
    ORDER BY p.id DESC LIMIT 1";
const FIRST: &str = "SELECT p.id, m.time FROM (
        SELECT id, message FROM archive WHERE owner = $1
        UNION ALL SELECT id, message FROM archive_recent WHERE owner = $1
        ORDER BY 1 ASC LIMIT 1) p CROSS JOIN message m ON m.id = p.message";
const LAST: &str = "SELECT p.id, m.time FROM (
        SELECT id, message FROM archive WHERE owner = $1
        UNION ALL SELECT id, message FROM archive_recent WHERE owner = $1
        ORDER BY 1 DESC LIMIT 1) p CROSS JOIN message m ON m.id = p.message";

const RETRACT: &str = "UPDATE message SET stanza = $3, text = NULL, retracted = 1 WHERE id IN (
        SELECT message FROM archive WHERE owner = $1 AND id = $2
        UNION ALL SELECT message FROM archive_recent WHERE owner = $1 AND id = $2)
    RETURNING id";
const DROP_WORDS: &str = "DELETE FROM message_fts WHERE rowid = $1";
const SIZE: &str =
    "SELECT count(*), coalesce(sum(length(m.stanza)), 0) FROM message m WHERE m.id IN (
    SELECT message FROM archive WHERE owner = $1
    UNION ALL SELECT message FROM archive_recent WHERE owner = $1)";
const SIZE_OF_ALL: &str = "SELECT count(*), coalesce(sum(length(stanza)), 0) FROM message";

fn statements(shape: &Shape) -> &'static Statements {
    if !shape.ids.is_empty() {
        &IDS
    } else if shape.peer.is_some() {
        &WITH
    } else {
        &ALL
    }
}

pub(super) async fn owner(
    conn: &mut SqliteConnection,
    jid: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(OWNER).bind(jid).fetch_optional(conn).await?)
}

/// One of the ids that is not in the archive.
pub(super) async fn unknown(
    conn: &mut SqliteConnection,
    owner: i64,
    ids: &[i64],
) -> Result<Option<i64>, StoreError> {
    let ids = serde_json::json!(ids).to_string();
    Ok(sqlx::query_scalar(UNKNOWN).bind(owner).bind(ids).fetch_optional(conn).await?)
}

/// The full-text conditions of a query.
pub(super) struct Text {
    /// Expression for the index.
    expression: Option<String>,
    /// Messages that match but are not in the index yet, as JSON.
    unindexed: String,
}

/// What to look for, and where it was found outside the index. `None`: there is no word to look for.
pub(super) async fn text(
    conn: &mut SqliteConnection,
    owner: i64,
    text: Option<&str>,
) -> Result<Option<Text>, StoreError> {
    let Some(text) = text else {
        return Ok(Some(Text { expression: None, unindexed: String::new() }));
    };
    let wanted: Vec<String> = words(text).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let rows: Vec<(i64, String)> = sqlx::query_as(UNINDEXED).bind(owner).fetch_all(conn).await?;
    let unindexed: Vec<i64> = rows
        .into_iter()
        .filter(|(_, text)| contains_all(text, &wanted))
        .map(|(message, _)| message)
        .collect();
    // Words are letters and digits alone, so quoting them is safe.
    let body = wanted.join("\" AND \"");
    Ok(Some(Text {
        expression: Some(format!("owners : \"{owner}\" AND body : (\"{body}\")")),
        unindexed: serde_json::json!(unindexed).to_string(),
    }))
}

/// Up to `limit` messages in the direction of the shape.
pub(super) async fn page(
    conn: &mut SqliteConnection,
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
        .bind(serde_json::json!(shape.ids).to_string())
        .bind(text.expression.as_deref())
        .bind(text.unindexed.as_str())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(message).collect()
}

/// All results, wherever the page lies.
pub(super) async fn count(
    conn: &mut SqliteConnection,
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
        .bind(serde_json::json!(shape.ids).to_string())
        .bind(text.expression.as_deref())
        .bind(text.unindexed.as_str())
        .fetch_one(conn)
        .await?;
    number(count)
}

pub(super) async fn one(
    conn: &mut SqliteConnection,
    owner: i64,
    id: i64,
) -> Result<Option<ArchivedMessage>, StoreError> {
    let row: Option<MessageRow> =
        sqlx::query_as(ONE).bind(owner).bind(id).fetch_optional(conn).await?;
    row.map(message).transpose()
}

pub(super) async fn sent(
    conn: &mut SqliteConnection,
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
    conn: &mut SqliteConnection,
    owner: i64,
) -> Result<Option<[(ArchiveId, Timestamp); 2]>, StoreError> {
    let mut ends = Vec::with_capacity(2);
    for statement in [FIRST, LAST] {
        let end: Option<(i64, i64)> =
            sqlx::query_as(statement).bind(owner).fetch_optional(&mut *conn).await?;
        let Some((id, time)) = end else {
            return Ok(None);
        };
        ends.push((ArchiveId::from_i64(id), Timestamp::from_micros(time)));
    }
    Ok(Some([ends[0], ends[1]]))
}

/// Replaces a stanza; `false` when there is no such message.
pub(super) async fn retract(
    conn: &mut SqliteConnection,
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
    let Some(message) = message else {
        return Ok(false);
    };
    sqlx::query(DROP_WORDS).bind(message).execute(conn).await?;
    Ok(true)
}

/// Size of one archive, or of all.
pub(super) async fn size(
    conn: &mut SqliteConnection,
    owner: Option<i64>,
) -> Result<ArchiveStats, StoreError> {
    let (messages, bytes): (i64, i64) = match owner {
        Some(owner) => sqlx::query_as(SIZE).bind(owner).fetch_one(conn).await?,
        None => sqlx::query_as(SIZE_OF_ALL).fetch_one(conn).await?,
    };
    Ok(ArchiveStats { messages: number(messages)?, bytes: number(bytes)? })
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

    use super::*;
    use crate::migrations;

    /// Tables, as the statements name them, that must not be read from end to end.
    const OURS: [&str; 6] = ["a", "archive", "archive_recent", "m", "message", "f"];

    /// No statement visits other archives, and none sorts more than its page.
    #[tokio::test]
    async fn statements_use_the_indexes() {
        let mut conn = SqliteConnectOptions::new().connect().await.unwrap();
        migrations::migrator(migrations::SQLITE).run(&mut conn).await.unwrap();
        let mut statements = vec![OWNER, UNKNOWN, UNINDEXED, ONE, SENT, FIRST, LAST, RETRACT, SIZE];
        for shape in [&ALL, &WITH, &IDS] {
            statements.extend([shape.forwards, shape.backwards, shape.count]);
        }
        for statement in statements {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(explain).fetch_all(&mut conn).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let bad = plan.iter().any(|step| {
                let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                // A list of ids comes in any order, so what it names is sorted.
                let sorts = step.contains("TEMP B-TREE") && !step.contains("FOR LAST TERM");
                let listed = statement.contains("a.id IN");
                table.is_some_and(|table| OURS.contains(&table)) || sorts && !listed
            });
            assert!(!bad, "{statement}\n{plan:#?}");
        }
    }
}
