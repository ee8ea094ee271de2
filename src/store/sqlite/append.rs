//! Writes many messages with few statements.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::engine::Engine;
use crate::column::{bare, peer_hash};
use crate::shape::kind_number;
use crate::{Entry, StoreError, Timestamp};

const OWNER: &str = "INSERT INTO archive_owner (jid) VALUES ($1)
    ON CONFLICT (jid) DO UPDATE SET jid = excluded.jid RETURNING id";
const OFFLINE: &str = "INSERT INTO offline (owner, message, archive_id) VALUES ($1, $2, $3)";

/// Rows in one statement. What is left over of a statement's rows stays unbound, which costs little.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

static MESSAGES: LazyLock<[String; 5]> = LazyLock::new(|| {
    statements(
        "message (id, time, kind, refs, retracted, owners, sender, recipient, message_id, origin_id,
            text, stanza)",
        12,
    )
});

static RECENT: LazyLock<[String; 5]> =
    LazyLock::new(|| statements("archive_recent (owner, id, message, peer)", 4));

/// Multi-row inserts that leave out the rows that were not bound.
fn statements(table: &str, columns: usize) -> [String; 5] {
    let row = format!("({})", vec!["?"; columns].join(", "));
    SIZES.map(|rows| {
        let values = vec![row.as_str(); rows].join(", ");
        format!("INSERT INTO {table} SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL")
    })
}

/// A statement for this many rows, or for as many as there can be.
fn statement(of: &'static [String; 5], rows: usize) -> (&'static str, usize) {
    let place = SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1);
    (&of[place], SIZES[place])
}

/// One message with the numbers that stand for its owners.
struct Row<'a> {
    id: i64,
    entry: &'a Entry,
    owners: Vec<i64>,
    offline_for: Option<i64>,
}

/// Writes entries within the writer's transaction.
pub(super) async fn insert(
    engine: &mut Engine,
    entries: &[Entry],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.owners.is_empty() && entry.offline_for.is_none() {
            continue;
        }
        rows.push(numbered(engine, entry, now).await?);
    }
    insert_messages(&mut engine.conn, &rows).await?;
    insert_archive(&mut engine.conn, &rows).await?;
    insert_offline(&mut engine.conn, &rows).await
}

async fn numbered<'a>(
    engine: &mut Engine,
    entry: &'a Entry,
    now: Timestamp,
) -> Result<Row<'a>, StoreError> {
    let mut owners = Vec::with_capacity(entry.owners.len());
    for owner in &entry.owners {
        owners.push(owner_id(engine, &owner.owner).await?);
    }
    let offline_for = match &entry.offline_for {
        Some(account) => Some(owner_id(engine, account).await?),
        None => None,
    };
    let id = engine.ids.next(now).as_i64();
    Ok(Row { id, entry, owners, offline_for })
}

async fn owner_id(engine: &mut Engine, jid: &str) -> Result<i64, StoreError> {
    if let Some(id) = engine.owners.get(jid) {
        return Ok(*id);
    }
    let id: i64 = sqlx::query_scalar(OWNER).bind(jid).fetch_one(&mut engine.conn).await?;
    engine.owners.insert(jid.to_owned(), id);
    Ok(id)
}

async fn insert_messages(conn: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (sql, size) = statement(&MESSAGES, rest.len());
        let (some, others) = rest.split_at(size.min(rest.len()));
        rest = others;
        let mut query = sqlx::query(sql);
        for row in some {
            let entry = row.entry;
            let refs = row.owners.len() + usize::from(row.offline_for.is_some());
            query = query
                .bind(row.id)
                .bind(entry.time.as_micros())
                .bind(kind_number(entry.kind))
                .bind(refs as i64)
                .bind(0i64)
                .bind(owner_words(&row.owners))
                .bind(entry.from.as_str())
                .bind(entry.to.as_str())
                .bind(entry.message_id.as_deref())
                .bind(entry.origin_id.as_deref())
                .bind(entry.text.as_deref())
                .bind(&entry.stanza[..]);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn insert_archive(conn: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    let all: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            let owners = row.entry.owners.iter().zip(&row.owners);
            owners.map(|(owner, number)| (*number, owner, row.id))
        })
        .collect();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (sql, size) = statement(&RECENT, rest.len());
        let (some, others) = rest.split_at(size.min(rest.len()));
        rest = others;
        let mut query = sqlx::query(sql);
        for (number, owner, message) in some {
            query = query
                .bind(*number)
                .bind(owner.archive_id.as_i64())
                .bind(*message)
                .bind(peer_hash(bare(&owner.with)));
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn insert_offline(conn: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for row in rows {
        if let Some(owner) = row.offline_for {
            let id = row.entry.offline_id.map(|id| id.as_i64());
            sqlx::query(OFFLINE).bind(owner).bind(row.id).bind(id).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

fn owner_words(owners: &[i64]) -> String {
    let mut words = String::new();
    for owner in owners {
        let space = if words.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(words, "{space}{owner}");
    }
    words
}
