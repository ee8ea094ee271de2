use async_trait::async_trait;

use super::{Connection, Database};
use crate::column::{column, number};
use crate::{
    Commit, Content, FileHash, Reservation, StoreError, Timestamp, UPLOAD_DAY_MICROS, Upload,
    UploadLimits, UploadPurpose, UploadUsage, Uploads,
};

/// Whoever counts an account's uploads changes this row first, so that on PostgreSQL the next one
/// waits and counts what this one adds.
const HOLD: &str = "INSERT INTO upload_account (account, slots) VALUES ($1, 1)
    ON CONFLICT (account) DO UPDATE SET slots = upload_account.slots + 1";
const ADD: &str = "INSERT INTO upload
    (token, account, name, media_type, size, purpose, created, slot_expires, expires)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// What counts for the day: uploads, and slots that may still become one.
const OF_DAY: &str = "SELECT created, size FROM upload WHERE account = $1 AND created > $2
    AND (stored IS NOT NULL OR slot_expires > $3) ORDER BY created";
const OF_ACCOUNT: &str = "SELECT CAST(coalesce(sum(size), 0) AS BIGINT), min(expires) FROM upload
    WHERE account = $1 AND purpose <> 'profile'
    AND (blob IS NOT NULL OR (stored IS NULL AND slot_expires > $2))";
const OF_PROFILE: &str = "SELECT token, size FROM upload
    WHERE account = $1 AND purpose = 'profile' AND blob IS NOT NULL ORDER BY created DESC";
const OPEN_SLOTS: &str = "SELECT count(*), min(slot_expires) FROM upload
    WHERE account = $1 AND stored IS NULL AND slot_expires > $2";
const END_NOW: &str = "UPDATE upload SET expires = $2 WHERE token = $1";
const FIND: &str = "SELECT u.account, u.name, u.media_type, u.size, u.purpose, u.created,
    u.slot_expires, u.expires, u.stored, b.id, b.hash
    FROM upload u LEFT JOIN upload_blob b ON b.id = u.blob WHERE u.token = $1";
const TOKENS_OF: &str = "SELECT token FROM upload
    WHERE account = $1 AND blob IS NOT NULL AND token > $2 ORDER BY token LIMIT $3";
const USE_SLOT: &str = "UPDATE upload SET stored = $2, media_type = coalesce(media_type, $3)
    WHERE token = $1 AND stored IS NULL RETURNING size";
const SHARE: &str = "UPDATE upload_blob SET refs = refs + 1
    WHERE id = (SELECT id FROM upload_blob WHERE hash = $1 AND size = $2 AND refs > 0 LIMIT 1)
    AND refs > 0 RETURNING id";
const ADD_BLOB: &str = "INSERT INTO upload_blob (id, hash, size, refs) VALUES ($1, $2, $3, 1)";
const SET_BLOB: &str = "UPDATE upload SET blob = $2 WHERE token = $1";
const USAGE: &str = "SELECT CAST(coalesce(sum(size), 0) AS BIGINT), count(*) FROM upload
    WHERE account = $1 AND blob IS NOT NULL";
const OLD: &str = "SELECT token, blob FROM upload
    WHERE blob IS NOT NULL AND expires <= $1 LIMIT $2";
const DETACH: &str = "UPDATE upload SET blob = NULL WHERE token = $1 AND blob IS NOT NULL";
const RELEASE: &str = "UPDATE upload_blob SET refs = refs - 1 WHERE id = $1";
/// What has expired goes when it no longer counts for a day.
const FORGET: &str = "DELETE FROM upload WHERE token IN
    (SELECT token FROM upload WHERE blob IS NULL AND created <= $1 LIMIT $2)";
const DEAD: &str = "SELECT id FROM upload_blob WHERE refs = 0 LIMIT $1";
const FORGET_BLOB: &str = "DELETE FROM upload_blob WHERE id = $1 AND refs = 0";
const HAS_BLOB: &str = "SELECT count(*) FROM upload_blob WHERE id = $1";

/// Leaves nothing of an account; what was its alone on the disk is a dead blob then.
pub(super) const DELETE_OWNED: [&str; 3] = [
    "UPDATE upload_blob
        SET refs = refs - (SELECT count(*) FROM upload u WHERE u.blob = upload_blob.id AND u.account = $1)
        WHERE id IN (SELECT blob FROM upload WHERE account = $1 AND blob IS NOT NULL)",
    "DELETE FROM upload WHERE account = $1",
    "DELETE FROM upload_account WHERE account = $1",
];

type Row = (
    String,
    String,
    Option<String>,
    i64,
    String,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<Vec<u8>>,
);

#[async_trait]
impl Uploads for Database {
    async fn reserve(
        &self,
        upload: &Upload,
        limits: &UploadLimits,
    ) -> Result<Reservation, StoreError> {
        let (upload, limits) = (upload.clone(), *limits);
        self.write(move |conn| Box::pin(async move { reserve(conn, &upload, &limits).await })).await
    }

    async fn find(&self, token: &str) -> Result<Option<Upload>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Row> = sqlx::query_as(FIND).bind(token).fetch_optional(&mut *conn).await?;
        row.map(|row| upload(token, row)).transpose()
    }

    async fn of_account(
        &self,
        account: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Upload>, StoreError> {
        let mut conn = self.read().await?;
        let tokens: Vec<String> = sqlx::query_scalar(TOKENS_OF)
            .bind(account)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        let mut uploads = Vec::with_capacity(tokens.len());
        for token in tokens {
            let row: Option<Row> =
                sqlx::query_as(FIND).bind(&token).fetch_optional(&mut *conn).await?;
            // One that has expired meanwhile is passed over.
            uploads.extend(row.map(|row| upload(&token, row)).transpose()?);
        }
        Ok(uploads)
    }

    async fn commit(
        &self,
        token: &str,
        media_type: &str,
        hash: &FileHash,
        at: Timestamp,
        in_place: Option<&str>,
    ) -> Result<Commit, StoreError> {
        let (token, media_type, hash) = (token.to_owned(), media_type.to_owned(), *hash);
        let in_place = in_place.map(str::to_owned);
        self.write(move |conn| {
            Box::pin(async move { commit(conn, &token, &media_type, &hash, at, in_place).await })
        })
        .await
    }

    async fn usage(&self, account: &str, now: Timestamp) -> Result<UploadUsage, StoreError> {
        let mut conn = self.read().await?;
        let (bytes, files): (i64, i64) =
            sqlx::query_as(USAGE).bind(account).fetch_one(&mut *conn).await?;
        let day: Vec<(i64, i64)> = sqlx::query_as(OF_DAY)
            .bind(account)
            .bind(now.plus_micros(-UPLOAD_DAY_MICROS).as_micros())
            .bind(now.as_micros())
            .fetch_all(&mut *conn)
            .await?;
        Ok(UploadUsage {
            account_bytes: number(bytes)?,
            day_bytes: number(day.iter().map(|(_, size)| size).sum())?,
            files: number(files)?,
        })
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                let old: Vec<(String, String)> = sqlx::query_as(OLD)
                    .bind(now.as_micros())
                    .bind(i64::from(limit))
                    .fetch_all(&mut *conn)
                    .await?;
                let mut count = 0;
                for (token, blob) in old {
                    let detached = sqlx::query(DETACH).bind(token).execute(&mut *conn).await?;
                    if detached.rows_affected() > 0 {
                        sqlx::query(RELEASE).bind(blob).execute(&mut *conn).await?;
                        count += 1;
                    }
                }
                let forgotten = sqlx::query(FORGET)
                    .bind(now.plus_micros(-UPLOAD_DAY_MICROS).as_micros())
                    .bind(i64::from(limit))
                    .execute(conn)
                    .await?;
                Ok(count + forgotten.rows_affected())
            })
        })
        .await
    }

    async fn remove_account(&self, account: &str) -> Result<u64, StoreError> {
        let account = account.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let mut count = 0;
                for statement in DELETE_OWNED {
                    let done = sqlx::query(statement).bind(&account).execute(&mut *conn).await?;
                    count += done.rows_affected();
                }
                Ok(count)
            })
        })
        .await
    }

    async fn dead_blobs(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        Ok(sqlx::query_scalar(DEAD).bind(i64::from(limit)).fetch_all(&mut *conn).await?)
    }

    async fn forget_blob(&self, blob: &str) -> Result<(), StoreError> {
        let blob = blob.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(FORGET_BLOB).bind(blob).execute(conn).await?;
                Ok(())
            })
        })
        .await
    }

    async fn has_blob(&self, blob: &str) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        let count: i64 = sqlx::query_scalar(HAS_BLOB).bind(blob).fetch_one(&mut *conn).await?;
        Ok(count > 0)
    }
}

async fn reserve(
    conn: &mut Connection,
    upload: &Upload,
    limits: &UploadLimits,
) -> Result<Reservation, StoreError> {
    sqlx::query(HOLD).bind(&upload.account).execute(&mut *conn).await?;
    let now = upload.created.as_micros();
    let (open, first): (i64, Option<i64>) =
        sqlx::query_as(OPEN_SLOTS).bind(&upload.account).bind(now).fetch_one(&mut *conn).await?;
    if open >= i64::from(limits.open_slots) {
        return Ok(Reservation::TooManySlots(Timestamp::from_micros(first.unwrap_or(now))));
    }
    let day: Vec<(i64, i64)> = sqlx::query_as(OF_DAY)
        .bind(&upload.account)
        .bind(upload.created.plus_micros(-UPLOAD_DAY_MICROS).as_micros())
        .bind(now)
        .fetch_all(&mut *conn)
        .await?;
    if let Some(retry) = room_in_day(&day, column(upload.size), column(limits.day_bytes)) {
        return Ok(Reservation::DayFull(retry));
    }
    if upload.purpose == UploadPurpose::Profile {
        end_old_profiles(conn, upload, column(limits.profile_bytes)).await?;
    } else {
        let (bytes, first): (i64, Option<i64>) = sqlx::query_as(OF_ACCOUNT)
            .bind(&upload.account)
            .bind(now)
            .fetch_one(&mut *conn)
            .await?;
        if bytes.saturating_add(column(upload.size)) > column(limits.account_bytes) {
            return Ok(Reservation::AccountFull(first.map(Timestamp::from_micros)));
        }
    }
    add(conn, upload).await?;
    Ok(Reservation::Reserved)
}

/// When there is room for `size` more bytes, if not now. `day` is what counts, the oldest first.
fn room_in_day(day: &[(i64, i64)], size: i64, limit: i64) -> Option<Timestamp> {
    let mut left = day.iter().map(|(_, size)| size).sum::<i64>().saturating_add(size);
    for (created, size) in day {
        if left <= limit {
            break;
        }
        left -= size;
        if left <= limit {
            return Some(Timestamp::from_micros(*created).plus_micros(UPLOAD_DAY_MICROS));
        }
    }
    None
}

/// Ends the oldest files until there is room for one more.
async fn end_old_profiles(
    conn: &mut Connection,
    upload: &Upload,
    limit: i64,
) -> Result<(), StoreError> {
    let files: Vec<(String, i64)> =
        sqlx::query_as(OF_PROFILE).bind(&upload.account).fetch_all(&mut *conn).await?;
    let mut bytes = column(upload.size);
    for (token, size) in files {
        bytes = bytes.saturating_add(size);
        if bytes > limit {
            let now = upload.created.as_micros();
            sqlx::query(END_NOW).bind(token).bind(now).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

async fn add(conn: &mut Connection, upload: &Upload) -> Result<(), StoreError> {
    sqlx::query(ADD)
        .bind(&upload.token)
        .bind(&upload.account)
        .bind(&upload.name)
        .bind(&upload.media_type)
        .bind(column(upload.size))
        .bind(upload.purpose.as_str())
        .bind(upload.created.as_micros())
        .bind(upload.slot_expires.as_micros())
        .bind(upload.expires.map(Timestamp::as_micros))
        .execute(conn)
        .await?;
    Ok(())
}

async fn commit(
    conn: &mut Connection,
    token: &str,
    media_type: &str,
    hash: &FileHash,
    at: Timestamp,
    in_place: Option<String>,
) -> Result<Commit, StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT size FROM upload WHERE token = $1 AND stored IS NULL")
            .bind(token)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(size) = found else { return Ok(Commit::Refused) };
    let shared: Option<String> =
        sqlx::query_scalar(SHARE).bind(&hash.0[..]).bind(size).fetch_optional(&mut *conn).await?;
    let (blob, answer) = match (shared, in_place) {
        (Some(blob), _) => (blob, Commit::Shared),
        (None, Some(blob)) => {
            sqlx::query(ADD_BLOB)
                .bind(&blob)
                .bind(&hash.0[..])
                .bind(size)
                .execute(&mut *conn)
                .await?;
            (blob, Commit::Stored)
        }
        (None, None) => return Ok(Commit::NotInPlace),
    };
    let used: Option<i64> = sqlx::query_scalar(USE_SLOT)
        .bind(token)
        .bind(at.as_micros())
        .bind(media_type)
        .fetch_optional(&mut *conn)
        .await?;
    if used.is_none() {
        // Undoes the reference that was just taken.
        return Err(StoreError::Corrupt("a slot was used twice at once".to_owned()));
    }
    sqlx::query(SET_BLOB).bind(token).bind(blob).execute(conn).await?;
    Ok(answer)
}

fn upload(token: &str, row: Row) -> Result<Upload, StoreError> {
    let (account, name, media_type, size, purpose, created, slot, expires, stored, blob, hash) =
        row;
    let content = match (blob, hash) {
        (Some(blob), Some(hash)) => {
            let hash = <[u8; 32]>::try_from(&hash[..])
                .map_err(|_| StoreError::Corrupt(format!("the hash of {blob}")))?;
            Some(Content { blob, hash: FileHash(hash) })
        }
        _ => None,
    };
    Ok(Upload {
        token: token.to_owned(),
        account,
        name,
        media_type,
        size: number(size)?,
        purpose: purpose.parse()?,
        created: Timestamp::from_micros(created),
        slot_expires: Timestamp::from_micros(slot),
        expires: expires.map(Timestamp::from_micros),
        content,
        stored: stored.map(Timestamp::from_micros),
    })
}
