use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{DocumentKey, Documents, StoreError};

const GET: &str = "SELECT xml FROM document
    WHERE account = $1 AND kind = $2 AND namespace = $3 AND name = $4";
const SET: &str = "INSERT INTO document (account, kind, namespace, name, xml)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account, kind, namespace, name) DO UPDATE SET xml = excluded.xml";
const REMOVE: &str = "DELETE FROM document
    WHERE account = $1 AND kind = $2 AND namespace = $3 AND name = $4";
const LIST: &str = "SELECT kind, namespace, name, xml FROM document
    WHERE account = $1 ORDER BY kind, namespace, name";

#[async_trait]
impl Documents for Database {
    async fn get(&self, account: &str, key: &DocumentKey) -> Result<Option<Bytes>, StoreError> {
        let (kind, namespace, name) = columns(key);
        let mut conn = self.read().await?;
        let xml: Option<Vec<u8>> = sqlx::query_scalar(GET)
            .bind(account)
            .bind(kind)
            .bind(namespace)
            .bind(name)
            .fetch_optional(&mut *conn)
            .await?;
        Ok(xml.map(Bytes::from))
    }

    async fn set(&self, account: &str, key: &DocumentKey, xml: &Bytes) -> Result<(), StoreError> {
        let (account, key, xml) = (account.to_owned(), key.clone(), xml.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                let (kind, namespace, name) = columns(&key);
                sqlx::query(SET)
                    .bind(account)
                    .bind(kind)
                    .bind(namespace)
                    .bind(name)
                    .bind(xml)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn remove(&self, account: &str, key: &DocumentKey) -> Result<bool, StoreError> {
        let (account, key) = (account.to_owned(), key.clone());
        self.write(move |conn| {
            Box::pin(async move {
                let (kind, namespace, name) = columns(&key);
                let removed = sqlx::query(REMOVE)
                    .bind(account)
                    .bind(kind)
                    .bind(namespace)
                    .bind(name)
                    .execute(conn)
                    .await?;
                Ok(removed.rows_affected() > 0)
            })
        })
        .await
    }

    async fn list(&self, account: &str) -> Result<Vec<(DocumentKey, Bytes)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String, String, Vec<u8>)> =
            sqlx::query_as(LIST).bind(account).fetch_all(&mut *conn).await?;
        rows.into_iter()
            .map(|(kind, namespace, name, xml)| {
                Ok((key(&kind, namespace, name)?, Bytes::from(xml)))
            })
            .collect()
    }
}

fn columns(key: &DocumentKey) -> (&'static str, &str, &str) {
    match key {
        DocumentKey::VCardTemp => ("vcard-temp", "", ""),
        DocumentKey::Private { namespace, name } => ("private", namespace, name),
    }
}

fn key(kind: &str, namespace: String, name: String) -> Result<DocumentKey, StoreError> {
    match kind {
        "vcard-temp" => Ok(DocumentKey::VCardTemp),
        "private" => Ok(DocumentKey::Private { namespace, name }),
        _ => Err(StoreError::Corrupt(format!("{kind:?} is not a kind of document"))),
    }
}
