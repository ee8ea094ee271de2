use async_trait::async_trait;

use super::{Connection, Database};
use crate::column::{column, number};
use crate::{Client, ClientPermission, Clients, FastToken, FastTokens, StoreError, Timestamp};

const SEEN: &str = "INSERT INTO client
    (account, id, kind, permission, software, device, tag, first_seen, last_seen)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (account, id) DO UPDATE
    SET kind = excluded.kind, software = excluded.software, device = excluded.device,
        tag = excluded.tag, last_seen = excluded.last_seen";
const LIST: &str = "SELECT id, kind, permission, software, device, tag, first_seen, last_seen
    FROM client WHERE account = $1 ORDER BY last_seen DESC, id";
const FIND: &str = "SELECT id, kind, permission, software, device, tag, first_seen, last_seen
    FROM client WHERE account = $1 AND id = $2";
const PERMIT: &str = "UPDATE client SET permission = $3 WHERE account = $1 AND id = $2";
const IDS: &str = "SELECT id FROM client WHERE account = $1";
const REVOKE: &str = "DELETE FROM client WHERE account = $1 AND id = $2";
const REVOKE_REFRESH: &str = "DELETE FROM refresh_token WHERE account = $1 AND client = $2";

const FAST: &str = "SELECT mechanism, secret, issued, expires,
        previous_secret, previous_issued, previous_expires, counter
    FROM fast_token WHERE account = $1 AND client = $2";
// The former token stays good until the client has shown the new one, unless that is for another mechanism.
const ROTATE: &str = "INSERT INTO fast_token
        (account, client, mechanism, secret, issued, expires, counter)
    SELECT account, id, $3, $4, $5, $6, 0 FROM client WHERE account = $1 AND id = $2
    ON CONFLICT (account, client) DO UPDATE SET
        previous_secret = CASE WHEN fast_token.mechanism = excluded.mechanism
            THEN fast_token.secret END,
        previous_issued = CASE WHEN fast_token.mechanism = excluded.mechanism
            THEN fast_token.issued END,
        previous_expires = CASE WHEN fast_token.mechanism = excluded.mechanism
            THEN fast_token.expires END,
        counter = CASE WHEN fast_token.mechanism = excluded.mechanism
            THEN fast_token.counter ELSE 0 END,
        mechanism = excluded.mechanism, secret = excluded.secret,
        issued = excluded.issued, expires = excluded.expires";
const SETTLE: &str = "UPDATE fast_token
    SET previous_secret = NULL, previous_issued = NULL, previous_expires = NULL, counter = 0
    WHERE account = $1 AND client = $2 AND previous_secret IS NOT NULL";
const ADVANCE: &str = "UPDATE fast_token SET counter = $3
    WHERE account = $1 AND client = $2 AND counter < $3";
const DROP: &str = "DELETE FROM fast_token WHERE account = $1 AND client = $2";

type ClientRow = (String, String, String, Option<String>, Option<String>, Option<String>, i64, i64);
type FastRow = (String, Vec<u8>, i64, i64, Option<Vec<u8>>, Option<i64>, Option<i64>, i64);

#[async_trait]
impl Clients for Database {
    async fn seen(&self, account: &str, client: &Client) -> Result<(), StoreError> {
        let (account, client) = (account.to_owned(), client.clone());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(SEEN)
                    .bind(account)
                    .bind(client.id)
                    .bind(client.kind.as_str())
                    .bind(client.permission.as_str())
                    .bind(client.software)
                    .bind(client.device)
                    .bind(client.tag)
                    .bind(client.first_seen.as_micros())
                    .bind(client.last_seen.as_micros())
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn list(&self, account: &str) -> Result<Vec<Client>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<ClientRow> = sqlx::query_as(LIST).bind(account).fetch_all(&mut *conn).await?;
        rows.into_iter().map(client).collect()
    }

    async fn find(&self, account: &str, id: &str) -> Result<Option<Client>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<ClientRow> =
            sqlx::query_as(FIND).bind(account).bind(id).fetch_optional(&mut *conn).await?;
        row.map(client).transpose()
    }

    async fn set_permission(
        &self,
        account: &str,
        id: &str,
        permission: ClientPermission,
    ) -> Result<bool, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let set = sqlx::query(PERMIT)
                    .bind(account)
                    .bind(id)
                    .bind(permission.as_str())
                    .execute(conn)
                    .await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }

    async fn revoke(&self, account: &str, id: &str) -> Result<bool, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |conn| Box::pin(async move { revoke(conn, &account, &id).await })).await
    }

    async fn revoke_others(&self, account: &str, keep: Option<&str>) -> Result<u64, StoreError> {
        let (account, keep) = (account.to_owned(), keep.map(str::to_owned));
        self.write(move |conn| {
            Box::pin(async move {
                let ids: Vec<String> =
                    sqlx::query_scalar(IDS).bind(&account).fetch_all(&mut *conn).await?;
                let mut revoked = 0;
                for id in ids.iter().filter(|id| Some(*id) != keep.as_ref()) {
                    revoked += u64::from(revoke(conn, &account, id).await?);
                }
                Ok(revoked)
            })
        })
        .await
    }

    async fn fast(&self, account: &str, id: &str) -> Result<Option<FastTokens>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<FastRow> =
            sqlx::query_as(FAST).bind(account).bind(id).fetch_optional(&mut *conn).await?;
        row.map(fast_tokens).transpose()
    }

    async fn rotate_fast(
        &self,
        account: &str,
        id: &str,
        mechanism: &str,
        token: &FastToken,
    ) -> Result<bool, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        let (mechanism, token) = (mechanism.to_owned(), token.clone());
        self.write(move |conn| {
            Box::pin(async move {
                let rotated = sqlx::query(ROTATE)
                    .bind(account)
                    .bind(id)
                    .bind(mechanism)
                    .bind(token.secret)
                    .bind(token.issued.as_micros())
                    .bind(token.expires.as_micros())
                    .execute(conn)
                    .await?;
                Ok(rotated.rows_affected() > 0)
            })
        })
        .await
    }

    async fn settle_fast(&self, account: &str, id: &str) -> Result<(), StoreError> {
        self.on_client(SETTLE, account, id).await.map(drop)
    }

    async fn advance_fast(&self, account: &str, id: &str, count: u64) -> Result<bool, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let advanced = sqlx::query(ADVANCE)
                    .bind(account)
                    .bind(id)
                    .bind(column(count))
                    .execute(conn)
                    .await?;
                Ok(advanced.rows_affected() > 0)
            })
        })
        .await
    }

    async fn drop_fast(&self, account: &str, id: &str) -> Result<bool, StoreError> {
        self.on_client(DROP, account, id).await
    }
}

impl Database {
    /// Runs a statement that needs nothing but the client; whether it changed a row.
    async fn on_client(
        &self,
        statement: &'static str,
        account: &str,
        id: &str,
    ) -> Result<bool, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(statement).bind(account).bind(id).execute(conn).await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }
}

async fn revoke(conn: &mut Connection, account: &str, id: &str) -> Result<bool, StoreError> {
    let mut revoked = 0;
    for statement in [DROP, REVOKE_REFRESH, REVOKE] {
        revoked = sqlx::query(statement)
            .bind(account)
            .bind(id)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok(revoked > 0)
}

fn client(row: ClientRow) -> Result<Client, StoreError> {
    let (id, kind, permission, software, device, tag, first_seen, last_seen) = row;
    Ok(Client {
        id,
        kind: kind.parse()?,
        permission: permission.parse()?,
        software,
        device,
        tag,
        first_seen: Timestamp::from_micros(first_seen),
        last_seen: Timestamp::from_micros(last_seen),
    })
}

fn fast_tokens(row: FastRow) -> Result<FastTokens, StoreError> {
    let (mechanism, secret, issued, expires, old_secret, old_issued, old_expires, counter) = row;
    let token = |secret, issued, expires| FastToken {
        secret,
        issued: Timestamp::from_micros(issued),
        expires: Timestamp::from_micros(expires),
    };
    let previous = match (old_secret, old_issued, old_expires) {
        (Some(secret), Some(issued), Some(expires)) => Some(token(secret, issued, expires)),
        _ => None,
    };
    Ok(FastTokens {
        mechanism,
        current: token(secret, issued, expires),
        previous,
        count: number(counter)?,
    })
}
