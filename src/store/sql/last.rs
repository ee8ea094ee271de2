use async_trait::async_trait;

use super::Database;
use crate::{LastActivities, LastActivity, StoreError, Timestamp};

const GET: &str = "SELECT at, status FROM last_activity WHERE account = $1";
const SET: &str = "INSERT INTO last_activity (account, at, status) VALUES ($1, $2, $3)
    ON CONFLICT (account) DO UPDATE SET at = excluded.at, status = excluded.status";

#[async_trait]
impl LastActivities for Database {
    async fn get(&self, account: &str) -> Result<Option<LastActivity>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(i64, Option<String>)> =
            sqlx::query_as(GET).bind(account).fetch_optional(&mut *conn).await?;
        Ok(row.map(|(at, status)| LastActivity { at: Timestamp::from_micros(at), status }))
    }

    async fn set(&self, account: &str, last: &LastActivity) -> Result<(), StoreError> {
        let (account, last) = (account.to_owned(), last.clone());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(SET)
                    .bind(account)
                    .bind(last.at.as_micros())
                    .bind(last.status)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
