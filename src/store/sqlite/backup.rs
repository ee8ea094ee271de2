//! Copies and checks of the whole database.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection as _};

use super::{Connection, Database, connect_options};
use crate::store::Backend;
use crate::{StoreError, migrations};

const INTEGRITY: &str = "PRAGMA integrity_check(20)";
const WRONG_REFS: &str = "SELECT count(*) FROM message m WHERE m.refs <> (
    SELECT count(*) FROM temp.pointer p WHERE p.message = m.id)";
const LOST: &str = "SELECT count(*) FROM temp.pointer p WHERE NOT EXISTS (
    SELECT 1 FROM message m WHERE m.id = p.message)";
// There is no index from messages to what points to them: nothing but this check would need it.
const POINTERS: &str = "BEGIN;
    CREATE TEMP TABLE pointer AS SELECT message FROM archive
        UNION ALL SELECT message FROM archive_recent UNION ALL SELECT message FROM offline;
    CREATE INDEX temp.pointer_message ON pointer (message)";

#[async_trait]
impl Backend for Database {
    /// The copy is made from one moment while writing goes on, under another name until it is whole.
    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        if to.try_exists()? {
            return Err(std::io::Error::from(std::io::ErrorKind::AlreadyExists).into());
        }
        let mut unfinished = to.as_os_str().to_owned();
        unfinished.push(".unfinished");
        if Path::new(&unfinished).try_exists()? {
            std::fs::remove_file(&unfinished)?;
        }
        // VACUUM INTO wants an empty file or none; made here so that nobody else can read it.
        super::create_private(Path::new(&unfinished))?;
        let name = unfinished.to_string_lossy().into_owned();
        let mut conn = connect_options(&self.path).connect().await?;
        sqlx::query("VACUUM INTO $1").bind(name).execute(&mut conn).await?;
        std::fs::File::open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, to)?;
        Ok(())
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.queue.settled().await;
        let mut conn = connect_options(&self.path).connect().await?;
        let mut problems: Vec<String> = sqlx::query_scalar(INTEGRITY).fetch_all(&mut conn).await?;
        problems.retain(|line| line != "ok");
        sqlx::query(POINTERS).execute(&mut conn).await?;
        complain(&mut conn, &mut problems, WRONG_REFS, "messages count their archives wrongly")
            .await?;
        complain(&mut conn, &mut problems, LOST, "archive rows have no message").await?;
        Ok(problems)
    }

    async fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            // Fails only if the writer panicked; there is nothing more to write then.
            let _ = writer.await;
        }
        self.readers.close().await;
    }
}

const IS_OURS: &str = "SELECT count(*) FROM sqlite_schema
    WHERE type = 'table' AND name IN ('_sqlx_migrations', 'account', 'archive_progress')";
const SCHEMA: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";

/// See [`Store::schema`](crate::Store::schema).
pub(crate) async fn schema(file: &Path) -> Result<Option<(i64, i64)>, StoreError> {
    if !file.try_exists()? {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut conn = options.disable_statement_logging().connect().await?;
    let tables: i64 = sqlx::query_scalar(IS_OURS).fetch_one(&mut conn).await?;
    if tables == 0 {
        return Ok(None);
    }
    let found: i64 = sqlx::query_scalar(SCHEMA).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(Some((found, migrations::SQLITE.last().map_or(0, |(version, ..)| *version))))
}

/// See [`Store::check_backup`](crate::Store::check_backup).
pub(crate) async fn check_backup(file: &Path) -> Result<(), StoreError> {
    let mut conn = SqliteConnectOptions::new()
        .filename(file)
        // Takes the log in that may lie beside it, and leaves one file.
        .journal_mode(SqliteJournalMode::Delete)
        .disable_statement_logging()
        .connect()
        .await?;
    let tables: i64 = sqlx::query_scalar(IS_OURS).fetch_one(&mut conn).await?;
    if tables < 3 {
        return Err(StoreError::Unsupported("this is not a database of Wello"));
    }
    let found: i64 = sqlx::query_scalar(SCHEMA).fetch_one(&mut conn).await?;
    let known = migrations::SQLITE.last().map_or(0, |(version, ..)| *version);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    let problems: Vec<String> = sqlx::query_scalar(INTEGRITY).fetch_all(&mut conn).await?;
    conn.close().await?;
    match problems.into_iter().find(|line| line != "ok") {
        Some(problem) => Err(StoreError::Corrupt(problem)),
        None => Ok(()),
    }
}

async fn complain(
    conn: &mut Connection,
    problems: &mut Vec<String>,
    statement: &'static str,
    what: &str,
) -> Result<(), StoreError> {
    let count: i64 = sqlx::query_scalar(statement).fetch_one(conn).await?;
    if count > 0 {
        problems.push(format!("{count} {what}"));
    }
    Ok(())
}
