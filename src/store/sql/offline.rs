use async_trait::async_trait;
use bytes::Bytes;

use super::{Database, maintain};
use crate::column::number;
use crate::{ArchiveId, Offline, OfflineId, OfflineMessage, OfflineUsage, StoreError, Timestamp};

const USAGE: &str = "SELECT count(*), coalesce(sum(length(m.stanza)), 0)
    FROM archive_owner o JOIN offline f ON f.owner = o.id JOIN message m ON m.id = f.message
    WHERE o.jid = $1";
const PAGE: &str = "SELECT m.id, m.time, m.sender, m.recipient, m.stanza, f.archive_id
    FROM archive_owner o JOIN offline f ON f.owner = o.id JOIN message m ON m.id = f.message
    WHERE o.jid = $1 AND f.message > $2 ORDER BY f.message LIMIT $3";
const ONE: &str = "SELECT f.owner, f.message
    FROM archive_owner o JOIN offline f ON f.owner = o.id WHERE o.jid = $1 AND f.message = $2";
const OLD: &str = "SELECT f.owner, f.message
    FROM offline f JOIN message m ON m.id = f.message WHERE m.time < $1 LIMIT $2";

type Row = (i64, i64, String, String, Vec<u8>, Option<i64>);

#[async_trait]
impl Offline for Database {
    async fn usage(&self, account: &str) -> Result<OfflineUsage, StoreError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let (messages, bytes): (i64, i64) =
            sqlx::query_as(USAGE).bind(account).fetch_one(&mut *conn).await?;
        Ok(OfflineUsage { messages: number(messages)?, bytes: number(bytes)? })
    }

    async fn page(
        &self,
        account: &str,
        after: Option<OfflineId>,
        max: u32,
    ) -> Result<Vec<OfflineMessage>, StoreError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(PAGE)
            .bind(account)
            .bind(after.map_or(i64::MIN, |id| id.0))
            .bind(i64::from(max))
            .fetch_all(&mut *conn)
            .await?;
        let messages =
            rows.into_iter().map(|(id, time, from, to, stanza, archive_id)| OfflineMessage {
                id: OfflineId(id),
                stanza: Bytes::from(stanza),
                time: Timestamp::from_micros(time),
                from,
                to,
                archive_id: archive_id.map(ArchiveId::from_i64),
            });
        Ok(messages.collect())
    }

    async fn remove(&self, account: &str, ids: &[OfflineId]) -> Result<u64, StoreError> {
        let (account, ids) = (account.to_owned(), ids.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                let mut rows = Vec::with_capacity(ids.len());
                for id in ids {
                    let row: Option<(i64, i64)> = sqlx::query_as(ONE)
                        .bind(&account)
                        .bind(id.0)
                        .fetch_optional(&mut *conn)
                        .await?;
                    rows.extend(row);
                }
                maintain::drop_offline(conn, &rows).await
            })
        })
        .await
    }

    async fn expire(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                let rows: Vec<_> = sqlx::query_as(OLD)
                    .bind(before.as_micros())
                    .bind(i64::from(limit))
                    .fetch_all(&mut *conn)
                    .await?;
                maintain::drop_offline(conn, &rows).await
            })
        })
        .await
    }
}
