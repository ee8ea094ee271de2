use async_trait::async_trait;

use super::Database;
use crate::{AuditEntry, AuditId, AuditLog, StoreError, Timestamp};

const APPEND: &str = "INSERT INTO audit (time, actor, origin, action, target, outcome)
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
const LIST: &str = "SELECT id, time, actor, origin, action, target, outcome FROM audit
    WHERE time >= $1 AND id < $2 ORDER BY id DESC LIMIT $3";
const EXPIRE: &str = "DELETE FROM audit WHERE time < $1";

type Row = (i64, i64, String, String, String, String, String);

#[async_trait]
impl AuditLog for Database {
    async fn append(&self, entry: &AuditEntry) -> Result<AuditId, StoreError> {
        let entry = entry.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let id = sqlx::query_scalar(APPEND)
                    .bind(entry.time.as_micros())
                    .bind(entry.actor)
                    .bind(entry.origin)
                    .bind(entry.action)
                    .bind(entry.target)
                    .bind(entry.outcome)
                    .fetch_one(conn)
                    .await?;
                Ok(AuditId(id))
            })
        })
        .await
    }

    async fn list(
        &self,
        since: Timestamp,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<(AuditId, AuditEntry)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(LIST)
            .bind(since.as_micros())
            .bind(before.map_or(i64::MAX, |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                let expired = sqlx::query(EXPIRE).bind(before.as_micros()).execute(conn).await?;
                Ok(expired.rows_affected())
            })
        })
        .await
    }
}

fn entry((id, time, actor, origin, action, target, outcome): Row) -> (AuditId, AuditEntry) {
    let time = Timestamp::from_micros(time);
    (AuditId(id), AuditEntry { time, actor, origin, action, target, outcome })
}
