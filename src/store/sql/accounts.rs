use async_trait::async_trait;
use sqlx::{FromRow, Row as _};

use super::{Connection, Database, DatabaseRow, maintain};
use crate::column::{number, split_account};
use crate::{
    Account, AccountFilter, AccountId, AccountStatus, Accounts, Creation, CredentialEpoch,
    Credentials, NewAccount, Role, ScramKeys, StoreError, Timestamp,
};

const TOMBSTONE: &str = "SELECT count(*) FROM account_tombstone
    WHERE domain = $1 AND local = $2 AND deleted >= $3";
const LOOK_ALIKES: &str = "SELECT count(*) FROM account
    WHERE domain = $1 AND shape = $2 AND local <> $3";
const SHAPELESS: &str = "SELECT local || '@' || domain FROM account WHERE shape IS NULL LIMIT $1";
const SET_SHAPE: &str = "UPDATE account SET shape = $3 WHERE domain = $1 AND local = $2";
const FORGET_TOMBSTONE: &str = "DELETE FROM account_tombstone WHERE domain = $1 AND local = $2";
const ADD_TOMBSTONE: &str = "INSERT INTO account_tombstone (domain, local, deleted)
    VALUES ($1, $2, $3) ON CONFLICT (domain, local) DO UPDATE SET deleted = excluded.deleted";
const CREATE: &str =
    "INSERT INTO account (domain, local, role, status, created, display_name, email,
        credential_epoch, password_hash, shape)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9) ON CONFLICT (domain, local) DO NOTHING RETURNING id";
const FIND: &str =
    "SELECT id, local, domain, role, status, created, last_login, display_name, email,
        credential_epoch
    FROM account WHERE domain = $1 AND local = $2";
const FIND_BY_EMAIL: &str =
    "SELECT id, local, domain, role, status, created, last_login, display_name, email,
        credential_epoch
    FROM account WHERE lower(email) = $1 ORDER BY id LIMIT 2";
/// In one statement, so that keys and epoch belong together. A row for each key, or one without.
const CREDENTIALS: &str =
    "SELECT a.id, a.local, a.domain, a.role, a.status, a.created, a.last_login, a.display_name,
        a.email, a.credential_epoch, a.password_hash,
        k.mechanism, k.salt, k.iterations, k.stored_key, k.server_key
    FROM account a LEFT JOIN scram_key k ON k.account_id = a.id
    WHERE a.domain = $1 AND a.local = $2 ORDER BY k.mechanism";
/// What a login needs, and no more: each row and column of an answer costs.
const SCRAM_KEYS: &str =
    "SELECT a.id, a.local, a.domain, a.role, a.status, a.created, a.last_login, a.display_name,
        a.email, a.credential_epoch, k.salt, k.iterations, k.stored_key, k.server_key
    FROM account a LEFT JOIN scram_key k ON k.account_id = a.id AND k.mechanism = $3
    WHERE a.domain = $1 AND a.local = $2";
const LACKING: &str = "SELECT DISTINCT a.domain FROM account a
    WHERE EXISTS (SELECT 1 FROM scram_key k WHERE k.account_id = a.id)
        AND NOT EXISTS (SELECT 1 FROM scram_key k WHERE k.account_id = a.id AND k.mechanism = $1)";
const ADD_SCRAM: &str = "INSERT INTO scram_key
    (account_id, mechanism, salt, iterations, stored_key, server_key)
    VALUES ($1, $2, $3, $4, $5, $6)";
const DROP_SCRAM: &str = "DELETE FROM scram_key WHERE account_id = $1";
const SET_PASSWORD: &str = "UPDATE account
    SET credential_epoch = credential_epoch + 1, password_hash = $3
    WHERE domain = $1 AND local = $2 RETURNING id, credential_epoch";
const DELETE: &str = "DELETE FROM account WHERE domain = $1 AND local = $2 RETURNING id";
const LIST: &str =
    "SELECT id, local, domain, role, status, created, last_login, display_name, email,
        credential_epoch
    FROM account
    WHERE ($1 IS NULL OR domain = $1) AND ($2 IS NULL OR role = $2) AND ($3 IS NULL OR status = $3)
        AND ($4 IS NULL OR lower(local) LIKE $4 ESCAPE '!' OR lower(display_name) LIKE $4 ESCAPE '!'
            OR lower(email) LIKE $4 ESCAPE '!')
        AND (domain, local) > ($5, $6)
    ORDER BY domain, local LIMIT $7";
const COUNT: &str = "SELECT count(*) FROM account
    WHERE ($1 IS NULL OR domain = $1) AND ($2 IS NULL OR role = $2) AND ($3 IS NULL OR status = $3)
        AND ($4 IS NULL OR lower(local) LIKE $4 ESCAPE '!' OR lower(display_name) LIKE $4 ESCAPE '!'
            OR lower(email) LIKE $4 ESCAPE '!')";
const SET_ROLE: &str = "UPDATE account SET role = $3 WHERE domain = $1 AND local = $2";
const SET_STATUS: &str = "UPDATE account SET status = $3 WHERE domain = $1 AND local = $2";
const SET_PROFILE: &str =
    "UPDATE account SET display_name = $3, email = $4 WHERE domain = $1 AND local = $2";
const RECORD_LOGIN: &str = "UPDATE account SET last_login = $3 WHERE domain = $1 AND local = $2";

/// What an account owns besides its row, its SCRAM keys and its archive. A table that is new and
/// names an account belongs here; a test looks for rows that are left behind.
const DELETE_OWNED: &[&str] = &[
    "DELETE FROM client WHERE account = $1",
    "DELETE FROM fast_token WHERE account = $1",
    "DELETE FROM refresh_token WHERE account = $1",
    "DELETE FROM roster WHERE account = $1",
    "DELETE FROM roster_item WHERE account = $1",
    "DELETE FROM subscription_request WHERE account = $1",
    "DELETE FROM block WHERE account = $1",
    "DELETE FROM document WHERE account = $1",
    "DELETE FROM last_activity WHERE account = $1",
    "DELETE FROM invite_use WHERE token IN (SELECT token FROM invite WHERE inviter = $1)",
    "DELETE FROM invite WHERE inviter = $1",
    "DELETE FROM invite_use WHERE used_by = $1",
    "DELETE FROM hibernated_session WHERE account = $1",
    "DELETE FROM pubsub_item WHERE node IN (SELECT id FROM pubsub_node WHERE service = $1)",
    "DELETE FROM pubsub_subscription WHERE node IN (SELECT id FROM pubsub_node WHERE service = $1)",
    "DELETE FROM pubsub_subscription WHERE bare = $1",
    "DELETE FROM pubsub_affiliation WHERE node IN (SELECT id FROM pubsub_node WHERE service = $1)",
    "DELETE FROM pubsub_affiliation WHERE jid = $1",
    "DELETE FROM pubsub_node WHERE service = $1",
    "DELETE FROM room_affiliation WHERE account = $1",
];

type Row =
    (i64, String, String, String, String, i64, Option<i64>, Option<String>, Option<String>, i64);

#[async_trait]
impl Accounts for Database {
    async fn create(&self, account: &NewAccount) -> Result<Creation, StoreError> {
        let account = account.clone();
        self.write(move |conn| Box::pin(async move { create(conn, &account).await })).await
    }

    async fn find(&self, jid: &str) -> Result<Option<Account>, StoreError> {
        let (local, domain) = split_account(jid)?;
        let mut conn = self.read().await?;
        find(&mut conn, domain, local).await
    }

    async fn find_by_email(&self, email: &str) -> Result<Vec<Account>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(FIND_BY_EMAIL)
            .bind(email.to_ascii_lowercase())
            .fetch_all(&mut *conn)
            .await?;
        rows.into_iter().map(account).collect()
    }

    async fn credentials(&self, jid: &str) -> Result<Option<(Credentials, Account)>, StoreError> {
        let (local, domain) = split_account(jid)?;
        let mut conn = self.read().await?;
        let rows = sqlx::query(CREDENTIALS).bind(domain).bind(local).fetch_all(&mut *conn).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let account = account(Row::from_row(first)?)?;
        let password_hash = first.try_get("password_hash")?;
        let keys = rows.iter().filter_map(|row| key(row).transpose());
        Ok(Some((Credentials { scram: keys.collect::<Result<_, _>>()?, password_hash }, account)))
    }

    async fn scram_keys(
        &self,
        jid: &str,
        mechanism: &str,
    ) -> Result<Option<(Option<ScramKeys>, Account)>, StoreError> {
        let (local, domain) = split_account(jid)?;
        let mut conn = self.read().await?;
        let query = sqlx::query(SCRAM_KEYS).bind(domain).bind(local).bind(mechanism);
        let Some(row) = query.fetch_optional(&mut *conn).await? else { return Ok(None) };
        let salt: Option<Vec<u8>> = row.try_get(10)?;
        let keys = salt.map(|salt| {
            Ok::<_, StoreError>(ScramKeys {
                mechanism: mechanism.to_owned(),
                salt,
                iterations: number(row.try_get(11)?)?,
                stored_key: row.try_get(12)?,
                server_key: row.try_get(13)?,
            })
        });
        Ok(Some((keys.transpose()?, account(Row::from_row(&row)?)?)))
    }

    async fn domains_lacking(&self, mechanism: &str) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        Ok(sqlx::query_scalar(LACKING).bind(mechanism).fetch_all(&mut *conn).await?)
    }

    async fn set_credentials(
        &self,
        jid: &str,
        credentials: &Credentials,
    ) -> Result<Option<CredentialEpoch>, StoreError> {
        let (local, domain) = owned(jid)?;
        let credentials = credentials.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let row: Option<(i64, i64)> = sqlx::query_as(SET_PASSWORD)
                    .bind(domain)
                    .bind(local)
                    .bind(&credentials.password_hash)
                    .fetch_optional(&mut *conn)
                    .await?;
                let Some((id, epoch)) = row else {
                    return Ok(None);
                };
                sqlx::query(DROP_SCRAM).bind(id).execute(&mut *conn).await?;
                add_scram_keys(conn, id, &credentials.scram).await?;
                Ok(Some(CredentialEpoch(epoch)))
            })
        })
        .await
    }

    async fn delete(&self, jid: &str, now: Timestamp) -> Result<bool, StoreError> {
        // Its messages must be in the archive before that is taken away.
        self.queue().settled().await;
        let jid = jid.to_owned();
        self.write(move |conn| Box::pin(async move { delete(conn, &jid, now).await })).await
    }

    async fn list(
        &self,
        filter: &AccountFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let (local, domain) = after.map_or(Ok(("", "")), split_account)?;
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(LIST)
            .bind(&filter.domain)
            .bind(filter.role.map(Role::as_str))
            .bind(filter.status.map(AccountStatus::as_str))
            .bind(filter.search.as_deref().map(pattern))
            .bind(domain)
            .bind(local)
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        rows.into_iter().map(account).collect()
    }

    async fn count(&self, filter: &AccountFilter) -> Result<u64, StoreError> {
        let mut conn = self.read().await?;
        let count: i64 = sqlx::query_scalar(COUNT)
            .bind(&filter.domain)
            .bind(filter.role.map(Role::as_str))
            .bind(filter.status.map(AccountStatus::as_str))
            .bind(filter.search.as_deref().map(pattern))
            .fetch_one(&mut *conn)
            .await?;
        number(count)
    }

    async fn set_role(&self, jid: &str, role: Role) -> Result<bool, StoreError> {
        let (local, domain) = owned(jid)?;
        self.write(move |conn| {
            Box::pin(async move {
                let set = sqlx::query(SET_ROLE)
                    .bind(domain)
                    .bind(local)
                    .bind(role.as_str())
                    .execute(conn)
                    .await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }

    async fn set_status(&self, jid: &str, status: AccountStatus) -> Result<bool, StoreError> {
        let (local, domain) = owned(jid)?;
        self.write(move |conn| {
            Box::pin(async move {
                let set = sqlx::query(SET_STATUS)
                    .bind(domain)
                    .bind(local)
                    .bind(status.as_str())
                    .execute(conn)
                    .await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }

    async fn set_profile(
        &self,
        jid: &str,
        display_name: Option<&str>,
        email: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (local, domain) = owned(jid)?;
        let (display_name, email) = (display_name.map(str::to_owned), email.map(str::to_owned));
        self.write(move |conn| {
            Box::pin(async move {
                let set = sqlx::query(SET_PROFILE)
                    .bind(domain)
                    .bind(local)
                    .bind(display_name)
                    .bind(email)
                    .execute(conn)
                    .await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }

    async fn shapeless(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let query = sqlx::query_scalar(SHAPELESS).bind(i64::from(limit));
        Ok(query.fetch_all(&mut *conn).await?)
    }

    async fn set_shape(&self, jid: &str, shape: &str) -> Result<bool, StoreError> {
        let ((local, domain), shape) = (owned(jid)?, shape.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let query = sqlx::query(SET_SHAPE).bind(domain).bind(local).bind(shape);
                Ok(query.execute(conn).await?.rows_affected() > 0)
            })
        })
        .await
    }

    async fn record_login(&self, jid: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (local, domain) = owned(jid)?;
        self.write(move |conn| {
            Box::pin(async move {
                let set = sqlx::query(RECORD_LOGIN)
                    .bind(domain)
                    .bind(local)
                    .bind(now.as_micros())
                    .execute(conn)
                    .await?;
                Ok(set.rows_affected() > 0)
            })
        })
        .await
    }
}

async fn create(conn: &mut Connection, new: &NewAccount) -> Result<Creation, StoreError> {
    let (local, domain) = split_account(&new.jid)?;
    if !new.reuse && is_tombstoned(conn, domain, local, new.tombstones_since).await? {
        return Ok(Creation::Tombstoned);
    }
    if new.distinct && has_look_alike(conn, domain, local, new.shape.as_deref()).await? {
        return Ok(Creation::LookAlike);
    }
    let id: Option<i64> = sqlx::query_scalar(CREATE)
        .bind(domain)
        .bind(local)
        .bind(new.role.as_str())
        .bind(new.status.as_str())
        .bind(new.created.as_micros())
        .bind(&new.display_name)
        .bind(&new.email)
        .bind(&new.credentials.password_hash)
        .bind(&new.shape)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(id) = id else {
        return Ok(Creation::Exists);
    };
    sqlx::query(FORGET_TOMBSTONE).bind(domain).bind(local).execute(&mut *conn).await?;
    add_scram_keys(conn, id, &new.credentials.scram).await?;
    let created = find(conn, domain, local).await?;
    created
        .map(Creation::Created)
        .ok_or_else(|| StoreError::Corrupt(format!("{} vanished while it was made", new.jid)))
}

async fn is_tombstoned(
    conn: &mut Connection,
    domain: &str,
    local: &str,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(TOMBSTONE).bind(domain).bind(local).bind(since.as_micros());
    let tombstones: i64 = query.fetch_one(conn).await?;
    Ok(tombstones > 0)
}

async fn has_look_alike(
    conn: &mut Connection,
    domain: &str,
    local: &str,
    shape: Option<&str>,
) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(LOOK_ALIKES).bind(domain).bind(shape).bind(local);
    let look_alikes: i64 = query.fetch_one(conn).await?;
    Ok(look_alikes > 0)
}

async fn delete(conn: &mut Connection, jid: &str, now: Timestamp) -> Result<bool, StoreError> {
    let (local, domain) = split_account(jid)?;
    let id: Option<i64> =
        sqlx::query_scalar(DELETE).bind(domain).bind(local).fetch_optional(&mut *conn).await?;
    let Some(id) = id else {
        return Ok(false);
    };
    sqlx::query(DROP_SCRAM).bind(id).execute(&mut *conn).await?;
    let owned = DELETE_OWNED.iter().chain(&super::uploads::DELETE_OWNED);
    let owned = owned.chain(&super::push::DELETE_OWNED).chain(&super::push_devices::DELETE_OWNED);
    let owned = owned.chain(&super::privacy::DELETE_OWNED);
    for statement in owned.copied() {
        sqlx::query(statement).bind(jid).execute(&mut *conn).await?;
    }
    maintain::purge(conn, jid).await?;
    sqlx::query(ADD_TOMBSTONE).bind(domain).bind(local).bind(now.as_micros()).execute(conn).await?;
    Ok(true)
}

async fn find(
    conn: &mut Connection,
    domain: &str,
    local: &str,
) -> Result<Option<Account>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as(FIND).bind(domain).bind(local).fetch_optional(conn).await?;
    row.map(account).transpose()
}

async fn add_scram_keys(
    conn: &mut Connection,
    id: i64,
    keys: &[ScramKeys],
) -> Result<(), StoreError> {
    for key in keys {
        sqlx::query(ADD_SCRAM)
            .bind(id)
            .bind(&key.mechanism)
            .bind(&key.salt)
            .bind(i64::from(key.iterations))
            .bind(&key.stored_key)
            .bind(&key.server_key)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn owned(jid: &str) -> Result<(String, String), StoreError> {
    split_account(jid).map(|(local, domain)| (local.to_owned(), domain.to_owned()))
}

/// A LIKE pattern for texts that contain `text`.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

fn key(row: &DatabaseRow) -> Result<Option<ScramKeys>, StoreError> {
    let Some(mechanism) = row.try_get("mechanism")? else { return Ok(None) };
    Ok(Some(ScramKeys {
        mechanism,
        salt: row.try_get("salt")?,
        iterations: number(row.try_get("iterations")?)?,
        stored_key: row.try_get("stored_key")?,
        server_key: row.try_get("server_key")?,
    }))
}

fn account(row: Row) -> Result<Account, StoreError> {
    let (id, local, domain, role, status, created, last_login, display_name, email, epoch) = row;
    Ok(Account {
        id: AccountId(id),
        local,
        domain,
        role: role.parse()?,
        status: status.parse()?,
        created: Timestamp::from_micros(created),
        last_login: last_login.map(Timestamp::from_micros),
        display_name,
        email,
        credential_epoch: CredentialEpoch(epoch),
    })
}
