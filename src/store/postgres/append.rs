//! Writes many messages with one statement for each table.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;

use super::maintain;
use crate::column::{bare, peer_hash};
use crate::shape::kind_number;
use crate::{ArchiveIds, Entry, StoreError, Timestamp};

const OWNERS: &str = "SELECT jid, id FROM archive_owner WHERE jid = ANY($1)";
// In order, so that two processes that meet the same new owners do not wait for each other.
const NEW_OWNERS: &str = "INSERT INTO archive_owner (jid)
    SELECT jid FROM unnest($1::text[]) AS n (jid) ORDER BY jid
    ON CONFLICT (jid) DO UPDATE SET jid = excluded.jid RETURNING jid, id";
const MESSAGES: &str = "INSERT INTO message (id, time, kind, refs, retracted, owners, sender,
        recipient, message_id, origin_id, text, stanza)
    SELECT id, time, kind, refs, 0, owners, sender, recipient, message_id, origin_id, text, stanza
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
        $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[])
    AS m (id, time, kind, refs, owners, sender, recipient, message_id, origin_id, text, stanza)";
const ARCHIVE: &str = "INSERT INTO archive (owner, id, message, peer)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])";
const OFFLINE: &str = "INSERT INTO offline (owner, message, archive_id)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])";
const WRITTEN: &str = "SELECT count(*) FROM message WHERE id = ANY($1)";

/// One entry with the number of its message.
pub(super) struct Row<'a> {
    /// Place in the batch.
    place: usize,
    id: i64,
    entry: &'a Entry,
}

/// Numbers the entries that there is something to store of.
pub(super) fn rows<'a>(ids: &ArchiveIds, entries: &'a [Entry], now: Timestamp) -> Vec<Row<'a>> {
    let stored = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !entry.owners.is_empty() || entry.offline_for.is_some());
    stored.map(|(place, entry)| Row { place, id: ids.next(now).as_i64(), entry }).collect()
}

/// Begins a transaction in which no owner is purged: its rows would be left behind.
pub(super) async fn begin(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::raw_sql(maintain::BEGIN_APPEND).execute(conn).await?;
    Ok(())
}

/// Whether a transaction with these rows was committed.
pub(super) async fn is_written(
    conn: &mut PgConnection,
    rows: &[Row<'_>],
) -> Result<bool, StoreError> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let count: i64 = sqlx::query_scalar(WRITTEN).bind(ids).fetch_one(conn).await?;
    Ok(count > 0)
}

/// Writes each row by itself; which failed, by their places in the batch.
pub(super) async fn insert_each(
    conn: &mut PgConnection,
    rows: &[Row<'_>],
) -> Result<Vec<(usize, StoreError)>, StoreError> {
    let mut failed = Vec::new();
    for row in rows {
        sqlx::query("SAVEPOINT entry").execute(&mut *conn).await?;
        if let Err(error) = insert(conn, std::slice::from_ref(row)).await {
            sqlx::query("ROLLBACK TO entry").execute(&mut *conn).await?;
            failed.push((row.place, error));
        }
        sqlx::query("RELEASE entry").execute(&mut *conn).await?;
    }
    Ok(failed)
}

pub(super) async fn insert(conn: &mut PgConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let owners = owner_ids(conn, rows).await?;
    insert_messages(conn, rows, &owners).await?;
    insert_archive(conn, rows, &owners).await?;
    insert_offline(conn, rows, &owners).await
}

type Owners = HashMap<String, i64>;

async fn owner_ids(conn: &mut PgConnection, rows: &[Row<'_>]) -> Result<Owners, StoreError> {
    let archives = rows.iter().flat_map(|row| &row.entry.owners).map(|owner| &owner.owner);
    let offline = rows.iter().filter_map(|row| row.entry.offline_for.as_ref());
    let mut missing: BTreeSet<&str> = archives.chain(offline).map(String::as_str).collect();
    let wanted: Vec<_> = missing.iter().copied().collect();
    let known: Vec<(String, i64)> =
        sqlx::query_as(OWNERS).bind(wanted).fetch_all(&mut *conn).await?;
    let mut owners: Owners = known.into_iter().collect();
    missing.retain(|jid| !owners.contains_key(*jid));
    if !missing.is_empty() {
        let missing: Vec<_> = missing.into_iter().collect();
        let new: Vec<(String, i64)> =
            sqlx::query_as(NEW_OWNERS).bind(missing).fetch_all(conn).await?;
        owners.extend(new);
    }
    Ok(owners)
}

fn id_of(owners: &Owners, jid: &str) -> Result<i64, StoreError> {
    owners
        .get(jid)
        .copied()
        .ok_or_else(|| StoreError::Corrupt(format!("owner {jid} vanished while it was written")))
}

async fn insert_messages(
    conn: &mut PgConnection,
    rows: &[Row<'_>],
    owners: &Owners,
) -> Result<(), StoreError> {
    let mut words = Vec::with_capacity(rows.len());
    for row in rows {
        let ids = row.entry.owners.iter().map(|owner| id_of(owners, &owner.owner));
        let ids: Vec<String> =
            ids.map(|id| id.map(|id| id.to_string())).collect::<Result<_, _>>()?;
        words.push(ids.join(" "));
    }
    let refs = |entry: &Entry| entry.owners.len() + usize::from(entry.offline_for.is_some());
    sqlx::query(MESSAGES)
        .bind(numbers(rows, |row| row.id))
        .bind(numbers(rows, |row| row.entry.time.as_micros()))
        .bind(numbers(rows, |row| kind_number(row.entry.kind)))
        .bind(numbers(rows, |row| refs(row.entry) as i64))
        .bind(words)
        .bind(texts(rows, |entry| Some(&entry.from)))
        .bind(texts(rows, |entry| Some(&entry.to)))
        .bind(texts(rows, |entry| entry.message_id.as_ref()))
        .bind(texts(rows, |entry| entry.origin_id.as_ref()))
        .bind(texts(rows, |entry| entry.text.as_ref()))
        .bind(rows.iter().map(|row| &row.entry.stanza[..]).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

async fn insert_archive(
    conn: &mut PgConnection,
    rows: &[Row<'_>],
    owners: &Owners,
) -> Result<(), StoreError> {
    let (mut of, mut ids, mut messages, mut peers) = (vec![], vec![], vec![], vec![]);
    for row in rows {
        for owner in &row.entry.owners {
            of.push(id_of(owners, &owner.owner)?);
            ids.push(owner.archive_id.as_i64());
            messages.push(row.id);
            peers.push(peer_hash(bare(&owner.with)));
        }
    }
    if !of.is_empty() {
        sqlx::query(ARCHIVE).bind(of).bind(ids).bind(messages).bind(peers).execute(conn).await?;
    }
    Ok(())
}

async fn insert_offline(
    conn: &mut PgConnection,
    rows: &[Row<'_>],
    owners: &Owners,
) -> Result<(), StoreError> {
    let (mut of, mut messages, mut ids) = (vec![], vec![], vec![]);
    for row in rows {
        if let Some(account) = &row.entry.offline_for {
            of.push(id_of(owners, account)?);
            messages.push(row.id);
            ids.push(row.entry.offline_id.map(|id| id.as_i64()));
        }
    }
    if !of.is_empty() {
        sqlx::query(OFFLINE).bind(of).bind(messages).bind(ids).execute(conn).await?;
    }
    Ok(())
}

fn numbers(rows: &[Row<'_>], number: impl Fn(&Row<'_>) -> i64) -> Vec<i64> {
    rows.iter().map(number).collect()
}

fn texts<'a>(
    rows: &'a [Row<'_>],
    text: impl Fn(&'a Entry) -> Option<&'a String>,
) -> Vec<Option<&'a str>> {
    rows.iter().map(|row| text(row.entry).map(String::as_str)).collect()
}
