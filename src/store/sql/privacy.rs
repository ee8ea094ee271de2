use async_trait::async_trait;

use super::{Connection, Database};
use crate::column::{from_list, to_list};
use crate::{
    ArchiveId, Listed, Privacy, PrivacyChoice, QuarantineLimits, REMEMBERED_VERDICTS, StoreError,
    Stranger, StrangerVerdict, Timestamp,
};

const CHOICE: &str = "SELECT presence, last_seen, strangers, listed_as FROM privacy
    WHERE account = $1";
const CHOOSE: &str = "INSERT INTO privacy (account, presence, last_seen, strangers, listed_as)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account) DO UPDATE SET presence = excluded.presence,
        last_seen = excluded.last_seen, strangers = excluded.strangers,
        listed_as = excluded.listed_as";
const LISTED: &str = "SELECT account, listed_as FROM privacy
    WHERE listed_as IS NOT NULL AND substr(account, length(account) - length($1)) = '@' || $1
    ORDER BY account LIMIT $2";
const STRANGER: &str = "SELECT peer, verdict, since, held FROM stranger
    WHERE account = $1 AND peer = $2";
const HELD: &str = "SELECT peer, verdict, since, held FROM stranger
    WHERE account = $1 AND verdict = 'held' ORDER BY since, peer";
const COUNT_HELD: &str = "SELECT count(*) FROM stranger WHERE account = $1 AND verdict = 'held'";
const SET: &str = "INSERT INTO stranger (account, peer, verdict, since, held)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account, peer) DO UPDATE SET verdict = excluded.verdict,
        since = excluded.since, held = excluded.held";
const TRIM: &str = "DELETE FROM stranger WHERE account = $1 AND verdict <> 'held' AND since <= (
    SELECT since FROM stranger WHERE account = $1 AND verdict <> 'held'
    ORDER BY since DESC LIMIT 1 OFFSET $2)";

pub(super) const DELETE_OWNED: [&str; 2] =
    ["DELETE FROM privacy WHERE account = $1", "DELETE FROM stranger WHERE account = $1"];

type ChoiceRow = (Option<String>, Option<String>, Option<String>, Option<String>);
type StrangerRow = (String, String, i64, String);

#[async_trait]
impl Privacy for Database {
    async fn choice(&self, account: &str) -> Result<Option<PrivacyChoice>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<ChoiceRow> =
            sqlx::query_as(CHOICE).bind(account).fetch_optional(&mut *conn).await?;
        row.map(choice).transpose()
    }

    async fn choose(&self, account: &str, choice: &PrivacyChoice) -> Result<(), StoreError> {
        let (account, choice) = (account.to_owned(), choice.clone());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(CHOOSE)
                    .bind(account)
                    .bind(choice.presence.map(|viewers| viewers.as_str()))
                    .bind(choice.last_seen.map(|viewers| viewers.as_str()))
                    .bind(choice.strangers.map(|policy| policy.as_str()))
                    .bind(choice.listed_as)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn listed(&self, domain: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(String, String)> = sqlx::query_as(LISTED)
            .bind(domain)
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        Ok(rows.into_iter().map(|(account, name)| Listed { account, name }).collect())
    }

    async fn stranger(&self, account: &str, peer: &str) -> Result<Option<Stranger>, StoreError> {
        let mut conn = self.read().await?;
        find(&mut conn, account, peer).await
    }

    async fn held(&self, account: &str) -> Result<Vec<Stranger>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<StrangerRow> =
            sqlx::query_as(HELD).bind(account).fetch_all(&mut *conn).await?;
        rows.into_iter().map(stranger).collect()
    }

    async fn hold(
        &self,
        account: &str,
        peer: &str,
        message: ArchiveId,
        at: Timestamp,
        limits: QuarantineLimits,
    ) -> Result<bool, StoreError> {
        let (account, peer) = (account.to_owned(), peer.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let before = find(conn, &account, &peer).await?;
                let row = match before {
                    Some(row) if row.verdict != StrangerVerdict::Held => return Ok(false),
                    Some(row) => row,
                    None => {
                        let held: i64 = sqlx::query_scalar(COUNT_HELD)
                            .bind(&account)
                            .fetch_one(&mut *conn)
                            .await?;
                        if held >= i64::from(limits.strangers) {
                            return Ok(false);
                        }
                        Stranger {
                            peer,
                            verdict: StrangerVerdict::Held,
                            since: at,
                            held: Vec::new(),
                        }
                    }
                };
                if row.held.len() >= limits.messages as usize {
                    return Ok(false);
                }
                let held = row.held.iter().chain([&message]).copied().collect();
                set(conn, &account, &Stranger { held, ..row }).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn decide(
        &self,
        account: &str,
        peer: &str,
        verdict: StrangerVerdict,
        at: Timestamp,
    ) -> Result<Vec<ArchiveId>, StoreError> {
        let (account, peer) = (account.to_owned(), peer.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let before = find(conn, &account, &peer).await?;
                let row = Stranger { peer, verdict, since: at, held: Vec::new() };
                set(conn, &account, &row).await?;
                sqlx::query(TRIM)
                    .bind(&account)
                    .bind(i64::from(REMEMBERED_VERDICTS))
                    .execute(&mut *conn)
                    .await?;
                Ok(before.map(|row| row.held).unwrap_or_default())
            })
        })
        .await
    }
}

async fn find(
    conn: &mut Connection,
    account: &str,
    peer: &str,
) -> Result<Option<Stranger>, StoreError> {
    let row: Option<StrangerRow> =
        sqlx::query_as(STRANGER).bind(account).bind(peer).fetch_optional(conn).await?;
    row.map(stranger).transpose()
}

async fn set(conn: &mut Connection, account: &str, row: &Stranger) -> Result<(), StoreError> {
    let held: Vec<String> = row.held.iter().map(ToString::to_string).collect();
    sqlx::query(SET)
        .bind(account)
        .bind(&row.peer)
        .bind(row.verdict.as_str())
        .bind(row.since.as_micros())
        .bind(to_list(&held))
        .execute(conn)
        .await?;
    Ok(())
}

fn choice(row: ChoiceRow) -> Result<PrivacyChoice, StoreError> {
    let (presence, last_seen, strangers, listed_as) = row;
    Ok(PrivacyChoice {
        presence: presence.map(|word| word.parse()).transpose()?,
        last_seen: last_seen.map(|word| word.parse()).transpose()?,
        strangers: strangers.map(|word| word.parse()).transpose()?,
        listed_as,
    })
}

fn stranger((peer, verdict, since, held): StrangerRow) -> Result<Stranger, StoreError> {
    let id = |text: String| text.parse().map_err(|_| StoreError::Corrupt(text));
    Ok(Stranger {
        peer,
        verdict: verdict.parse()?,
        since: Timestamp::from_micros(since),
        held: from_list(&held)?.into_iter().map(id).collect::<Result<_, _>>()?,
    })
}
