use async_trait::async_trait;
use bytes::Bytes;

use super::{Connection, Database};
use crate::column::{column, number, split_account};
use crate::{AffiliatedRoom, Rooms, StoreError, StoredAffiliation, StoredRoom, Timestamp};

const LOAD: &str = "SELECT jid, created, version, listed, name, description, settings, subject
    FROM room WHERE jid = $1";
const AFFILIATIONS: &str = "SELECT account, affiliation, nick, version
    FROM room_affiliation WHERE room = $1 ORDER BY account";
const CREATE: &str = "INSERT INTO room
    (jid, domain, created, version, listed, name, description, settings, subject)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "UPDATE room SET version = $3, listed = $4, name = $5, description = $6,
    settings = $7, subject = $8
    WHERE jid = $1 AND created = $2 AND version < $3";
const EXISTS: &str = "SELECT count(*) FROM room WHERE jid = $1 AND created = $2";
const AFFILIATE: &str =
    "INSERT INTO room_affiliation (room, account, affiliation, nick, version, seen)
    VALUES ($1, $2, $3, $4, $5, 0)
    ON CONFLICT (room, account) DO UPDATE SET affiliation = excluded.affiliation,
        nick = excluded.nick, version = excluded.version
    WHERE room_affiliation.version < excluded.version";
const PRUNE: &str =
    "DELETE FROM room_affiliation WHERE room = $1 AND affiliation = 'none' AND version <= $2";
const DELETE: &str = "DELETE FROM room WHERE jid = $1 AND created = $2";
const DELETE_ANY: &str = "DELETE FROM room WHERE jid = $1";
const DELETE_AFFILIATIONS: &str = "DELETE FROM room_affiliation WHERE room = $1";
const LISTED: &str = "SELECT jid, created, version, listed, name, description, settings, subject
    FROM room WHERE domain = $1 AND listed = 1 AND jid > $2 ORDER BY jid LIMIT $3";
const OF_DOMAIN: &str = "SELECT jid, created, version, listed, name, description, settings, subject
    FROM room WHERE domain = $1 AND jid > $2 ORDER BY jid LIMIT $3";
const AFFILIATED: &str = "SELECT room, affiliation, seen FROM room_affiliation
    WHERE account = $1 AND affiliation IN ('member', 'admin', 'owner') ORDER BY room";
const SET_SEEN: &str =
    "UPDATE room_affiliation SET seen = $3 WHERE room = $1 AND account = $2 AND seen < $3";
const COUNT: &str = "SELECT count(*) FROM room";

type Row = (String, i64, i64, i64, String, String, String, Option<Vec<u8>>);

#[async_trait]
impl Rooms for Database {
    async fn load(
        &self,
        jid: &str,
    ) -> Result<Option<(StoredRoom, Vec<StoredAffiliation>)>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Row> = sqlx::query_as(LOAD).bind(jid).fetch_optional(&mut *conn).await?;
        let Some(row) = row else { return Ok(None) };
        let rows: Vec<(String, String, Option<String>, i64)> =
            sqlx::query_as(AFFILIATIONS).bind(jid).fetch_all(&mut *conn).await?;
        let affiliations = rows.into_iter().map(|(jid, affiliation, nick, version)| {
            Ok(StoredAffiliation { jid, affiliation: affiliation.parse()?, nick, version })
        });
        Ok(Some((room(row), affiliations.collect::<Result<_, StoreError>>()?)))
    }

    async fn create(
        &self,
        room: &StoredRoom,
        affiliations: &[StoredAffiliation],
    ) -> Result<(), StoreError> {
        let (room, affiliations) = (room.clone(), affiliations.to_vec());
        let domain = split_account(&room.jid)?.1.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(DELETE_ANY).bind(&room.jid).execute(&mut *conn).await?;
                sqlx::query(DELETE_AFFILIATIONS).bind(&room.jid).execute(&mut *conn).await?;
                sqlx::query(CREATE)
                    .bind(&room.jid)
                    .bind(domain)
                    .bind(room.created)
                    .bind(room.version)
                    .bind(i64::from(room.listed))
                    .bind(&room.name)
                    .bind(&room.description)
                    .bind(&room.settings)
                    .bind(room.subject.as_deref())
                    .execute(&mut *conn)
                    .await?;
                affiliate(conn, &room.jid, &affiliations).await
            })
        })
        .await
    }

    async fn update(
        &self,
        room: &StoredRoom,
        changed: &[StoredAffiliation],
    ) -> Result<bool, StoreError> {
        let (room, changed) = (room.clone(), changed.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                let exists: i64 = sqlx::query_scalar(EXISTS)
                    .bind(&room.jid)
                    .bind(room.created)
                    .fetch_one(&mut *conn)
                    .await?;
                if exists == 0 {
                    return Ok(false);
                }
                sqlx::query(UPDATE)
                    .bind(&room.jid)
                    .bind(room.created)
                    .bind(room.version)
                    .bind(i64::from(room.listed))
                    .bind(&room.name)
                    .bind(&room.description)
                    .bind(&room.settings)
                    .bind(room.subject.as_deref())
                    .execute(&mut *conn)
                    .await?;
                affiliate(conn, &room.jid, &changed).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn prune(&self, jid: &str, version: i64) -> Result<u64, StoreError> {
        let jid = jid.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(PRUNE).bind(jid).bind(version).execute(conn).await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }

    async fn delete(&self, jid: &str, created: i64) -> Result<bool, StoreError> {
        let jid = jid.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(DELETE).bind(&jid).bind(created).execute(&mut *conn).await?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(DELETE_AFFILIATIONS).bind(&jid).execute(conn).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn listed(
        &self,
        domain: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError> {
        self.page_of_rooms(LISTED, domain, after, limit).await
    }

    async fn of_domain(
        &self,
        domain: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError> {
        self.page_of_rooms(OF_DOMAIN, domain, after, limit).await
    }

    async fn affiliated(&self, jid: &str) -> Result<Vec<AffiliatedRoom>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as(AFFILIATED).bind(jid).fetch_all(&mut *conn).await?;
        let rooms = rows.into_iter().map(|(jid, affiliation, seen)| {
            let seen = (seen > 0).then(|| Timestamp::from_micros(seen));
            Ok(AffiliatedRoom { jid, affiliation: affiliation.parse()?, seen })
        });
        rooms.collect()
    }

    async fn set_seen(&self, room: &str, jid: &str, at: Timestamp) -> Result<(), StoreError> {
        let (room, jid) = (room.to_owned(), jid.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(SET_SEEN)
                    .bind(room)
                    .bind(jid)
                    .bind(at.as_micros())
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let mut conn = self.read().await?;
        number(sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut *conn).await?)
    }
}

impl Database {
    async fn page_of_rooms(
        &self,
        statement: &'static str,
        domain: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(statement)
            .bind(domain)
            .bind(after)
            .bind(column(limit.into()))
            .fetch_all(&mut *conn)
            .await?;
        Ok(rows.into_iter().map(room).collect())
    }
}

async fn affiliate(
    conn: &mut Connection,
    room: &str,
    affiliations: &[StoredAffiliation],
) -> Result<(), StoreError> {
    for one in affiliations {
        sqlx::query(AFFILIATE)
            .bind(room)
            .bind(&one.jid)
            .bind(one.affiliation.as_str())
            .bind(one.nick.as_deref())
            .bind(one.version)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn room(row: Row) -> StoredRoom {
    let (jid, created, version, listed, name, description, settings, subject) = row;
    let (listed, subject) = (listed != 0, subject.map(Bytes::from));
    StoredRoom { jid, created, version, listed, name, description, settings, subject }
}
