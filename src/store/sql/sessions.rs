use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{HibernatedSession, Sessions, StoreError, Timestamp};

const SAVE: &str = "INSERT INTO hibernated_session (resumption_id, account, state, expires)
    VALUES ($1, $2, $3, $4) ON CONFLICT (resumption_id) DO UPDATE
    SET account = excluded.account, state = excluded.state, expires = excluded.expires";
const TAKE: &str =
    "DELETE FROM hibernated_session RETURNING resumption_id, account, state, expires";

#[async_trait]
impl Sessions for Database {
    async fn save_all(&self, sessions: &[HibernatedSession]) -> Result<(), StoreError> {
        let sessions = sessions.to_vec();
        self.write(move |conn| {
            Box::pin(async move {
                for session in sessions {
                    sqlx::query(SAVE)
                        .bind(session.resumption_id)
                        .bind(session.account)
                        .bind(session.state.to_vec())
                        .bind(session.expires.as_micros())
                        .execute(&mut *conn)
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn take_all(&self, now: Timestamp) -> Result<Vec<HibernatedSession>, StoreError> {
        let rows: Vec<(String, String, Vec<u8>, i64)> = self
            .write(|conn| Box::pin(async { Ok(sqlx::query_as(TAKE).fetch_all(conn).await?) }))
            .await?;
        let sessions =
            rows.into_iter().map(|(resumption_id, account, state, expires)| HibernatedSession {
                resumption_id,
                account,
                state: Bytes::from(state),
                expires: Timestamp::from_micros(expires),
            });
        Ok(sessions.filter(|session| session.expires > now).collect())
    }
}
