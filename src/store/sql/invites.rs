use async_trait::async_trait;

use super::{Connection, Database};
use crate::column::number;
use crate::{Invite, Invites, Redemption, StoreError, Timestamp};

const CREATE: &str = "INSERT INTO invite
    (token, kind, inviter, domain, username, role, created, expires, uses_left)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (token) DO NOTHING";
const FIND: &str =
    "SELECT token, kind, inviter, domain, username, role, created, expires, uses_left
    FROM invite WHERE token = $1";
const LIST: &str =
    "SELECT token, kind, inviter, domain, username, role, created, expires, uses_left
    FROM invite WHERE $1 IS NULL OR inviter = $1 ORDER BY created DESC, token LIMIT $2";
const USED_BY: &str = "SELECT used_by FROM invite_use WHERE token = $1 ORDER BY seq";
const RECORD_USE: &str =
    "INSERT INTO invite_use (token, used_by) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const FORGET_USE: &str = "DELETE FROM invite_use WHERE token = $1 AND used_by = $2";
const TAKE_USE: &str = "UPDATE invite SET uses_left = uses_left - 1
    WHERE token = $1 AND uses_left > 0 AND (expires IS NULL OR expires > $2)";
const GIVE_USE: &str = "UPDATE invite SET uses_left = uses_left + 1 WHERE token = $1";
const REVOKE: &str = "DELETE FROM invite WHERE token = $1";
const REVOKE_USES: &str = "DELETE FROM invite_use WHERE token = $1";
const RESERVED: &str = "SELECT count(*) FROM invite WHERE domain = $1 AND username = $2
    AND uses_left > 0 AND (expires IS NULL OR expires > $3)";
const EXPIRE_USES: &str =
    "DELETE FROM invite_use WHERE token IN (SELECT token FROM invite WHERE expires < $1)";
const EXPIRE: &str = "DELETE FROM invite WHERE expires < $1";

type Row = (String, String, Option<String>, String, Option<String>, String, i64, Option<i64>, i64);

#[async_trait]
impl Invites for Database {
    async fn create(&self, invite: &Invite) -> Result<bool, StoreError> {
        let invite = invite.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let created = sqlx::query(CREATE)
                    .bind(invite.token)
                    .bind(invite.kind.as_str())
                    .bind(invite.inviter)
                    .bind(invite.domain)
                    .bind(invite.username)
                    .bind(invite.role.as_str())
                    .bind(invite.created.as_micros())
                    .bind(invite.expires.map(Timestamp::as_micros))
                    .bind(i64::from(invite.uses_left))
                    .execute(conn)
                    .await?;
                Ok(created.rows_affected() > 0)
            })
        })
        .await
    }

    async fn find(&self, token: &str) -> Result<Option<Invite>, StoreError> {
        let mut conn = self.read().await?;
        find(&mut conn, token).await
    }

    async fn redeem(
        &self,
        token: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Redemption, StoreError> {
        let (token, by) = (token.to_owned(), by.to_owned());
        self.write(move |conn| Box::pin(async move { redeem(conn, &token, &by, now).await })).await
    }

    async fn release(&self, token: &str, by: &str) -> Result<bool, StoreError> {
        let (token, by) = (token.to_owned(), by.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let forgotten =
                    sqlx::query(FORGET_USE).bind(&token).bind(&by).execute(&mut *conn).await?;
                if forgotten.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(GIVE_USE).bind(&token).execute(conn).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn revoke(&self, token: &str) -> Result<bool, StoreError> {
        let token = token.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(REVOKE_USES).bind(&token).execute(&mut *conn).await?;
                let revoked = sqlx::query(REVOKE).bind(&token).execute(conn).await?;
                Ok(revoked.rows_affected() > 0)
            })
        })
        .await
    }

    async fn list(&self, inviter: Option<&str>, limit: u32) -> Result<Vec<Invite>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> =
            sqlx::query_as(LIST).bind(inviter).bind(i64::from(limit)).fetch_all(&mut *conn).await?;
        let mut invites = Vec::with_capacity(rows.len());
        for row in rows {
            invites.push(invite(&mut conn, row).await?);
        }
        Ok(invites)
    }

    async fn reserved(
        &self,
        domain: &str,
        username: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        let invites: i64 = sqlx::query_scalar(RESERVED)
            .bind(domain)
            .bind(username)
            .bind(now.as_micros())
            .fetch_one(&mut *conn)
            .await?;
        Ok(invites > 0)
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(EXPIRE_USES).bind(before.as_micros()).execute(&mut *conn).await?;
                let expired = sqlx::query(EXPIRE).bind(before.as_micros()).execute(conn).await?;
                Ok(expired.rows_affected())
            })
        })
        .await
    }
}

async fn redeem(
    conn: &mut Connection,
    token: &str,
    by: &str,
    now: Timestamp,
) -> Result<Redemption, StoreError> {
    // Before it is looked at: this makes two accounts that redeem at the same time wait for each other.
    let taken = sqlx::query(TAKE_USE).bind(token).bind(now.as_micros()).execute(&mut *conn).await?;
    let Some(found) = find(conn, token).await? else {
        return Ok(Redemption::Unknown);
    };
    let taken = taken.rows_affected() > 0;
    if found.used_by.iter().any(|user| user == by) {
        if taken {
            sqlx::query(GIVE_USE).bind(token).execute(&mut *conn).await?;
        }
        return find(conn, token)
            .await
            .map(|again| again.map_or(Redemption::Unknown, Redemption::Redeemed));
    }
    if !taken {
        let expired = found.expires.is_some_and(|expires| expires <= now);
        return Ok(if expired { Redemption::Expired } else { Redemption::Exhausted });
    }
    sqlx::query(RECORD_USE).bind(token).bind(by).execute(&mut *conn).await?;
    let mut invite = found;
    invite.used_by.push(by.to_owned());
    Ok(Redemption::Redeemed(invite))
}

async fn find(conn: &mut Connection, token: &str) -> Result<Option<Invite>, StoreError> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(token).fetch_optional(&mut *conn).await?;
    match row {
        Some(row) => invite(conn, row).await.map(Some),
        None => Ok(None),
    }
}

async fn invite(conn: &mut Connection, row: Row) -> Result<Invite, StoreError> {
    let (token, kind, inviter, domain, username, role, created, expires, uses_left) = row;
    let used_by = sqlx::query_scalar(USED_BY).bind(&token).fetch_all(conn).await?;
    Ok(Invite {
        token,
        kind: kind.parse()?,
        inviter,
        domain,
        username,
        role: role.parse()?,
        created: Timestamp::from_micros(created),
        expires: expires.map(Timestamp::from_micros),
        uses_left: number(uses_left)?,
        used_by,
    })
}
