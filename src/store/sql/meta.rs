use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{Meta, StoreError};

const GET: &str = "SELECT value FROM meta WHERE key = $1";
const SET: &str = "INSERT INTO meta (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const INSERT: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";

#[async_trait]
impl Meta for Database {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let mut conn = self.read().await?;
        let value: Option<Vec<u8>> =
            sqlx::query_scalar(GET).bind(key).fetch_optional(&mut *conn).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &str, value: &Bytes) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(SET).bind(key).bind(value).execute(conn).await?;
                Ok(())
            })
        })
        .await
    }

    async fn get_or_insert(&self, key: &str, value: &Bytes) -> Result<Bytes, StoreError> {
        let (key, value) = (key.to_owned(), value.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(INSERT).bind(&key).bind(value).execute(&mut *conn).await?;
                let stored: Vec<u8> = sqlx::query_scalar(GET).bind(&key).fetch_one(conn).await?;
                Ok(Bytes::from(stored))
            })
        })
        .await
    }
}
