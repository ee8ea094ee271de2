use async_trait::async_trait;

use super::{Connection, Database};
use crate::{RefreshToken, RefreshTokens, Rotation, StoreError, Timestamp, TokenHash};

const ISSUE: &str = "INSERT INTO refresh_token (hash, family, account, client, issued, expires)
    VALUES ($1, $2, $3, $4, $5, $6)";
const USE: &str = "UPDATE refresh_token SET used = $2
    WHERE hash = $1 AND used IS NULL AND expires > $2 RETURNING family, account, client";
const FIND: &str = "SELECT family, account, used FROM refresh_token WHERE hash = $1";
const REVOKE_FAMILY: &str = "DELETE FROM refresh_token WHERE family = $1";
const REVOKE_ACCOUNT: &str = "DELETE FROM refresh_token WHERE account = $1";
const EXPIRE: &str = "DELETE FROM refresh_token WHERE expires < $1";

#[async_trait]
impl RefreshTokens for Database {
    async fn issue(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.write(move |conn| Box::pin(async move { insert(conn, &token).await })).await
    }

    async fn rotate(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let (old, new) = (*old, *new);
        self.write(move |conn| {
            Box::pin(async move {
                let used: Option<(String, String, Option<String>)> = sqlx::query_as(USE)
                    .bind(&old.0[..])
                    .bind(now.as_micros())
                    .fetch_optional(&mut *conn)
                    .await?;
                let Some((family, account, client)) = used else {
                    return refuse(conn, &old).await;
                };
                let token =
                    RefreshToken { hash: new, family, account, client, issued: now, expires };
                insert(conn, &token).await?;
                Ok(Rotation::Rotated(token))
            })
        })
        .await
    }

    async fn revoke_family(&self, family: &str) -> Result<u64, StoreError> {
        let family = family.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let revoked = sqlx::query(REVOKE_FAMILY).bind(family).execute(conn).await?;
                Ok(revoked.rows_affected())
            })
        })
        .await
    }

    async fn revoke_account(&self, account: &str) -> Result<u64, StoreError> {
        let account = account.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let revoked = sqlx::query(REVOKE_ACCOUNT).bind(account).execute(conn).await?;
                Ok(revoked.rows_affected())
            })
        })
        .await
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

async fn insert(conn: &mut Connection, token: &RefreshToken) -> Result<(), StoreError> {
    sqlx::query(ISSUE)
        .bind(&token.hash.0[..])
        .bind(&token.family)
        .bind(&token.account)
        .bind(&token.client)
        .bind(token.issued.as_micros())
        .bind(token.expires.as_micros())
        .execute(conn)
        .await?;
    Ok(())
}

/// Why a token could not be used, and what follows from it.
async fn refuse(conn: &mut Connection, old: &TokenHash) -> Result<Rotation, StoreError> {
    let found: Option<(String, String, Option<i64>)> =
        sqlx::query_as(FIND).bind(&old.0[..]).fetch_optional(&mut *conn).await?;
    match found {
        None => Ok(Rotation::Unknown),
        Some((_, _, None)) => Ok(Rotation::Expired),
        Some((family, account, Some(_))) => {
            sqlx::query(REVOKE_FAMILY).bind(&family).execute(conn).await?;
            Ok(Rotation::Reused { account, family })
        }
    }
}
