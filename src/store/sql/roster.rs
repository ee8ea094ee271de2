use async_trait::async_trait;
use bytes::Bytes;

use super::{Connection, Database};
use crate::column::{column, from_list, number, to_list};
use crate::{
    REMEMBERED_REMOVALS, Roster, RosterChange, RosterChanges, RosterEntry, RosterItem,
    RosterUpdate, RosterVersion, Rosters, StoreError, SubscriptionRequest,
};

const VERSION: &str = "SELECT version, forgotten FROM roster WHERE account = $1";
// Also takes the lock by which changes of one roster wait for each other.
const OPEN: &str = "INSERT INTO roster (account, version, forgotten) VALUES ($1, 0, 0)
    ON CONFLICT (account) DO UPDATE SET version = roster.version RETURNING version";
const ADVANCE: &str = "UPDATE roster SET version = $2 WHERE account = $1";
const LOAD: &str =
    "SELECT contact, version, removed, name, contact_groups, subscription, ask, approved
    FROM roster_item WHERE account = $1 AND removed = 0 ORDER BY contact";
const ENTRY: &str =
    "SELECT contact, version, removed, name, contact_groups, subscription, ask, approved
    FROM roster_item WHERE account = $1 AND contact = $2";
const CHANGES: &str =
    "SELECT contact, version, removed, name, contact_groups, subscription, ask, approved
    FROM roster_item WHERE account = $1 AND version > $2 ORDER BY version";
const SET: &str = "INSERT INTO roster_item
        (account, contact, version, removed, name, contact_groups, subscription, ask, approved)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (account, contact) DO UPDATE SET version = excluded.version,
        removed = excluded.removed, name = excluded.name,
        contact_groups = excluded.contact_groups, subscription = excluded.subscription,
        ask = excluded.ask, approved = excluded.approved";
// Version of the newest removal that is too many.
const SURPLUS: &str = "SELECT version FROM roster_item WHERE account = $1 AND removed = 1
    ORDER BY version DESC LIMIT 1 OFFSET $2";
const FORGET: &str = "DELETE FROM roster_item WHERE account = $1 AND removed = 1 AND version <= $2";
const FORGOTTEN: &str = "UPDATE roster SET forgotten = $2 WHERE account = $1";

const ADD_REQUEST: &str = "INSERT INTO subscription_request (account, contact, stanza)
    VALUES ($1, $2, $3) ON CONFLICT (account, contact) DO UPDATE SET stanza = excluded.stanza";
const REMOVE_REQUEST: &str = "DELETE FROM subscription_request WHERE account = $1 AND contact = $2";
const REQUESTS: &str =
    "SELECT contact, stanza FROM subscription_request WHERE account = $1 ORDER BY seq";

type ItemRow = (String, i64, i64, Option<String>, String, String, i64, i64);

#[async_trait]
impl Rosters for Database {
    async fn load(&self, account: &str) -> Result<Roster, StoreError> {
        let mut conn = self.read().await?;
        // The version first: a change in between makes the items newer than it says, which
        // costs a client nothing but an update it already has.
        let (version, _) = versions(&mut conn, account).await?;
        let rows: Vec<ItemRow> = sqlx::query_as(LOAD).bind(account).fetch_all(&mut *conn).await?;
        let items = rows.into_iter().map(item).collect::<Result<_, _>>()?;
        Ok(Roster { version, items })
    }

    async fn entry(&self, account: &str, contact: &str) -> Result<RosterEntry, StoreError> {
        let mut conn = self.read().await?;
        entry(&mut conn, account, contact).await
    }

    async fn set(
        &self,
        account: &str,
        item: &RosterItem,
        expected: RosterVersion,
    ) -> Result<RosterUpdate, StoreError> {
        let (account, item) = (account.to_owned(), item.clone());
        self.write(move |conn| {
            Box::pin(async move {
                let version = open(conn, &account).await?;
                let present = entry(conn, &account, &item.jid).await?;
                if present.version != expected {
                    return Ok(RosterUpdate::Conflict);
                }
                store(conn, &account, &item, RosterVersion(version.0 + 1), false).await
            })
        })
        .await
    }

    async fn remove(
        &self,
        account: &str,
        contact: &str,
        expected: RosterVersion,
    ) -> Result<RosterUpdate, StoreError> {
        let (account, contact) = (account.to_owned(), contact.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let version = open(conn, &account).await?;
                let present = entry(conn, &account, &contact).await?;
                if present.version != expected {
                    return Ok(RosterUpdate::Conflict);
                }
                if present.item.is_none() {
                    return Ok(RosterUpdate::Stored(version));
                }
                let gone = RosterItem { jid: contact, ..RosterItem::default() };
                let update =
                    store(conn, &account, &gone, RosterVersion(version.0 + 1), true).await?;
                forget_surplus(conn, &account).await?;
                Ok(update)
            })
        })
        .await
    }

    async fn changes_since(
        &self,
        account: &str,
        since: RosterVersion,
    ) -> Result<Option<RosterChanges>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<ItemRow> = sqlx::query_as(CHANGES)
            .bind(account)
            .bind(column(since.0))
            .fetch_all(&mut *conn)
            .await?;
        // After the rows: removals that were forgotten meanwhile are noticed.
        let (version, forgotten) = versions(&mut conn, account).await?;
        if since < forgotten || since > version {
            return Ok(None);
        }
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            changes.push((RosterVersion(number(row.1)?), change(row)?));
        }
        // What was changed after the rows were read is left for the next time.
        let version = changes.last().map_or(since, |(version, _)| *version);
        Ok(Some(RosterChanges { version, changes }))
    }

    async fn add_request(
        &self,
        account: &str,
        request: &SubscriptionRequest,
    ) -> Result<(), StoreError> {
        let (account, request) = (account.to_owned(), request.clone());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(ADD_REQUEST)
                    .bind(account)
                    .bind(request.contact)
                    .bind(request.stanza.to_vec())
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn remove_request(&self, account: &str, contact: &str) -> Result<bool, StoreError> {
        let (account, contact) = (account.to_owned(), contact.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let removed =
                    sqlx::query(REMOVE_REQUEST).bind(account).bind(contact).execute(conn).await?;
                Ok(removed.rows_affected() > 0)
            })
        })
        .await
    }

    async fn requests(&self, account: &str) -> Result<Vec<SubscriptionRequest>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as(REQUESTS).bind(account).fetch_all(&mut *conn).await?;
        let requests = rows
            .into_iter()
            .map(|(contact, stanza)| SubscriptionRequest { contact, stanza: Bytes::from(stanza) });
        Ok(requests.collect())
    }
}

/// The roster's version, and up to which removals are forgotten.
async fn versions(
    conn: &mut Connection,
    account: &str,
) -> Result<(RosterVersion, RosterVersion), StoreError> {
    let row: Option<(i64, i64)> =
        sqlx::query_as(VERSION).bind(account).fetch_optional(conn).await?;
    let (version, forgotten) = row.unwrap_or_default();
    Ok((RosterVersion(number(version)?), RosterVersion(number(forgotten)?)))
}

/// Takes hold of the roster for a change.
async fn open(conn: &mut Connection, account: &str) -> Result<RosterVersion, StoreError> {
    let version: i64 = sqlx::query_scalar(OPEN).bind(account).fetch_one(conn).await?;
    Ok(RosterVersion(number(version)?))
}

async fn entry(
    conn: &mut Connection,
    account: &str,
    contact: &str,
) -> Result<RosterEntry, StoreError> {
    let row: Option<ItemRow> =
        sqlx::query_as(ENTRY).bind(account).bind(contact).fetch_optional(conn).await?;
    let Some(row) = row else {
        return Ok(RosterEntry::default());
    };
    let version = RosterVersion(number(row.1)?);
    let item = match change(row)? {
        RosterChange::Set(item) => Some(item),
        RosterChange::Removed(_) => None,
    };
    Ok(RosterEntry { item, version })
}

async fn store(
    conn: &mut Connection,
    account: &str,
    item: &RosterItem,
    version: RosterVersion,
    removed: bool,
) -> Result<RosterUpdate, StoreError> {
    sqlx::query(ADVANCE).bind(account).bind(column(version.0)).execute(&mut *conn).await?;
    sqlx::query(SET)
        .bind(account)
        .bind(&item.jid)
        .bind(column(version.0))
        .bind(i64::from(removed))
        .bind(&item.name)
        .bind(to_list(&item.groups))
        .bind(item.subscription.as_str())
        .bind(i64::from(item.ask))
        .bind(i64::from(item.approved))
        .execute(conn)
        .await?;
    Ok(RosterUpdate::Stored(version))
}

async fn forget_surplus(conn: &mut Connection, account: &str) -> Result<(), StoreError> {
    let surplus: Option<i64> = sqlx::query_scalar(SURPLUS)
        .bind(account)
        .bind(i64::from(REMEMBERED_REMOVALS))
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(version) = surplus {
        for statement in [FORGET, FORGOTTEN] {
            sqlx::query(statement).bind(account).bind(version).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

fn change(row: ItemRow) -> Result<RosterChange, StoreError> {
    if row.2 != 0 {
        return Ok(RosterChange::Removed(row.0));
    }
    item(row).map(RosterChange::Set)
}

fn item(row: ItemRow) -> Result<RosterItem, StoreError> {
    let (jid, _, _, name, groups, subscription, ask, approved) = row;
    Ok(RosterItem {
        jid,
        name,
        groups: from_list(&groups)?,
        subscription: subscription.parse()?,
        ask: ask != 0,
        approved: approved != 0,
    })
}
