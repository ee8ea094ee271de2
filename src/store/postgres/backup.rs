//! Checks of the whole database.

use std::path::Path;

use async_trait::async_trait;

use super::Database;
use crate::StoreError;
use crate::store::Backend;

const WRONG_REFS: &str = "SELECT count(*) FROM message m LEFT JOIN (
        SELECT message, count(*) AS count
        FROM (SELECT message FROM archive UNION ALL SELECT message FROM offline) p GROUP BY message) c
        ON c.message = m.id
    WHERE m.refs <> coalesce(c.count, 0)";
const LOST: &str = "SELECT count(*)
    FROM (SELECT message FROM archive UNION ALL SELECT message FROM offline) p
    WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = p.message)";

#[async_trait]
impl Backend for Database {
    async fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("PostgreSQL is backed up by pg_dump or its own replication"))
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.queue.settled().await;
        let mut conn = self.read().await?;
        let mut problems = Vec::new();
        for (statement, what) in [
            (WRONG_REFS, "messages count their archives wrongly"),
            (LOST, "archive rows have no message"),
        ] {
            let count: i64 = sqlx::query_scalar(statement).fetch_one(&mut *conn).await?;
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        }
        Ok(problems)
    }

    async fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            // Fails only if the writer panicked; there is nothing more to write then.
            let _ = writer.await;
        }
        self.pool.close().await;
    }
}
