use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::column::number;
use crate::{PushService, PushServices, StoreError, Timestamp};

const COUNT_OTHERS: &str = "SELECT count(*) FROM push_service
    WHERE account = $1 AND NOT (jid = $2 AND node = $3)";
const ENABLE: &str = "INSERT INTO push_service
    (account, jid, node, resource, client, options, enabled, failures, paused_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, NULL)
    ON CONFLICT (account, jid, node) DO UPDATE SET resource = $4, client = $5, options = $6,
        enabled = $7, failures = 0, paused_until = NULL";
const DISABLE: &str =
    "DELETE FROM push_service WHERE account = $1 AND jid = $2 AND ($3 IS NULL OR node = $3)";
const LIST: &str = "SELECT account, jid, node, resource, client, options, enabled, failures,
    paused_until FROM push_service WHERE account = $1 ORDER BY enabled";
const SET_FAILURES: &str = "UPDATE push_service SET failures = $4, paused_until = $5
    WHERE account = $1 AND jid = $2 AND node = $3";

pub(super) const DELETE_OWNED: [&str; 1] = ["DELETE FROM push_service WHERE account = $1"];

type Row = (String, String, String, String, Option<String>, Option<Vec<u8>>, i64, i64, Option<i64>);

#[async_trait]
impl PushServices for Database {
    async fn enable(&self, service: &PushService, max: u32) -> Result<bool, StoreError> {
        let service = service.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let others: i64 = sqlx::query_scalar(COUNT_OTHERS)
                    .bind(&service.account)
                    .bind(&service.jid)
                    .bind(&service.node)
                    .fetch_one(&mut *conn)
                    .await?;
                if others >= i64::from(max) {
                    return Ok(false);
                }
                sqlx::query(ENABLE)
                    .bind(service.account)
                    .bind(service.jid)
                    .bind(service.node)
                    .bind(service.resource)
                    .bind(service.client)
                    .bind(service.options.map(|options| options.to_vec()))
                    .bind(service.enabled.as_micros())
                    .execute(conn)
                    .await?;
                Ok(true)
            })
        })
        .await
    }

    async fn disable(
        &self,
        account: &str,
        jid: &str,
        node: Option<&str>,
    ) -> Result<u64, StoreError> {
        let (account, jid) = (account.to_owned(), jid.to_owned());
        let node = node.map(str::to_owned);
        self.write(move |conn| {
            Box::pin(async move {
                let removed =
                    sqlx::query(DISABLE).bind(account).bind(jid).bind(node).execute(conn).await?;
                Ok(removed.rows_affected())
            })
        })
        .await
    }

    async fn list(&self, account: &str) -> Result<Vec<PushService>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(LIST).bind(account).fetch_all(&mut *conn).await?;
        rows.into_iter().map(service).collect()
    }

    async fn set_failures(
        &self,
        service: &PushService,
        failures: u32,
        paused_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let PushService { account, jid, node, .. } = service.clone();
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(SET_FAILURES)
                    .bind(account)
                    .bind(jid)
                    .bind(node)
                    .bind(i64::from(failures))
                    .bind(paused_until.map(Timestamp::as_micros))
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

fn service(row: Row) -> Result<PushService, StoreError> {
    let (account, jid, node, resource, client, options, enabled, failures, paused_until) = row;
    Ok(PushService {
        account,
        jid,
        node,
        resource,
        client,
        options: options.map(Bytes::from),
        enabled: Timestamp::from_micros(enabled),
        failures: number(failures)?,
        paused_until: paused_until.map(Timestamp::from_micros),
    })
}
