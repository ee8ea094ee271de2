use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{CapsCache, StoreError};

const GET: &str = "SELECT disco_info FROM caps WHERE hash = $1";
// The SELECT keeps known hashes from using up sequence numbers, by which the cache is bounded.
const PUT: &str = "INSERT INTO caps (hash, disco_info)
    SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM caps WHERE hash = $1)
    ON CONFLICT (hash) DO NOTHING";
const TRIM: &str = "DELETE FROM caps WHERE seq <= (SELECT max(seq) FROM caps) - $1";

#[async_trait]
impl CapsCache for Database {
    async fn get(&self, hash: &str) -> Result<Option<Bytes>, StoreError> {
        let mut conn = self.read().await?;
        let info: Option<Vec<u8>> =
            sqlx::query_scalar(GET).bind(hash).fetch_optional(&mut *conn).await?;
        Ok(info.map(Bytes::from))
    }

    async fn put(&self, hash: &str, disco_info: &Bytes) -> Result<(), StoreError> {
        let (hash, info) = (hash.to_owned(), disco_info.to_vec());
        let entries = i64::from(self.options().caps_entries);
        self.write(move |conn| {
            Box::pin(async move {
                let put = sqlx::query(PUT).bind(hash).bind(info).execute(&mut *conn).await?;
                if put.rows_affected() > 0 {
                    sqlx::query(TRIM).bind(entries).execute(conn).await?;
                }
                Ok(())
            })
        })
        .await
    }
}
