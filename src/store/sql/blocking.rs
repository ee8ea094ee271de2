use async_trait::async_trait;

use super::Database;
use crate::{BlockLists, StoreError};

const LIST: &str = "SELECT jid FROM block WHERE account = $1 ORDER BY jid";
const ADD: &str = "INSERT INTO block (account, jid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const REMOVE: &str = "DELETE FROM block WHERE account = $1 AND jid = $2";
const CLEAR: &str = "DELETE FROM block WHERE account = $1";

#[async_trait]
impl BlockLists for Database {
    async fn list(&self, account: &str) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let jids = sqlx::query_scalar(LIST).bind(account).fetch_all(&mut *conn).await?;
        Ok(jids)
    }

    async fn add(&self, account: &str, jids: &[String]) -> Result<u64, StoreError> {
        self.for_each_jid(ADD, account, jids).await
    }

    async fn remove(&self, account: &str, jids: &[String]) -> Result<u64, StoreError> {
        self.for_each_jid(REMOVE, account, jids).await
    }

    async fn clear(&self, account: &str) -> Result<u64, StoreError> {
        let account = account.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let cleared = sqlx::query(CLEAR).bind(account).execute(conn).await?;
                Ok(cleared.rows_affected())
            })
        })
        .await
    }
}

impl Database {
    /// Runs a statement for each JID in one transaction; how many rows it changed.
    async fn for_each_jid(
        &self,
        statement: &'static str,
        account: &str,
        jids: &[String],
    ) -> Result<u64, StoreError> {
        let (account, jids) = (account.to_owned(), jids.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                let mut changed = 0;
                for jid in &jids {
                    let done =
                        sqlx::query(statement).bind(&account).bind(jid).execute(&mut *conn).await?;
                    changed += done.rows_affected();
                }
                Ok(changed)
            })
        })
        .await
    }
}
