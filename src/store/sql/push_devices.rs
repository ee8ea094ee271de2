use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{PushDevice, PushDevices, PushEndpoint, PushGateway, StoreError, Timestamp, TokenHash};

const FIND_NODE: &str = "SELECT node FROM push_device WHERE account = $1 AND device = $2";
const COUNT_DEVICES: &str = "SELECT count(*) FROM push_device WHERE account = $1";
const REGISTER: &str = "INSERT INTO push_device (node, secret, account, device, gateway, address,
    call_address, public_key, auth, registered) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (node) DO UPDATE SET secret = $2, gateway = $5, address = $6, call_address = $7,
        public_key = $8, auth = $9, registered = $10";
const DEVICE: &str = "SELECT node, secret, account, device, gateway, address, call_address,
    public_key, auth, registered FROM push_device WHERE node = $1";
const DEVICES: &str = "SELECT node, secret, account, device, gateway, address, call_address,
    public_key, auth, registered FROM push_device WHERE account = $1 ORDER BY registered, node";
const UNREGISTER: &str = "DELETE FROM push_device WHERE node = $1 AND secret = $2";
const FIND_TOKEN: &str = "SELECT token FROM push_endpoint
    WHERE account = $1 AND resource = $2 AND application = $3 AND instance = $4";
const COUNT_ENDPOINTS: &str =
    "SELECT count(*) FROM push_endpoint WHERE account = $1 AND expires > $2";
const ADD_ENDPOINT: &str = "INSERT INTO push_endpoint
    (token, account, resource, application, instance, expires) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (token) DO UPDATE SET expires = $6";
const ENDPOINT: &str = "SELECT account, resource, application, instance, expires
    FROM push_endpoint WHERE token = $1 AND expires > $2";
const REMOVE_ENDPOINT: &str = "DELETE FROM push_endpoint WHERE token = $1";
const EXPIRE_ENDPOINTS: &str = "DELETE FROM push_endpoint WHERE expires < $1";

pub(super) const DELETE_OWNED: [&str; 2] =
    ["DELETE FROM push_device WHERE account = $1", "DELETE FROM push_endpoint WHERE account = $1"];

type Row = (
    String,
    Vec<u8>,
    String,
    String,
    i64,
    String,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
);

#[async_trait]
impl PushDevices for Database {
    async fn register(&self, device: &PushDevice, max: u32) -> Result<Option<String>, StoreError> {
        let device = device.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let present: Option<String> = sqlx::query_scalar(FIND_NODE)
                    .bind(&device.account)
                    .bind(&device.device)
                    .fetch_optional(&mut *conn)
                    .await?;
                if present.is_none() {
                    let count: i64 = sqlx::query_scalar(COUNT_DEVICES)
                        .bind(&device.account)
                        .fetch_one(&mut *conn)
                        .await?;
                    if count >= i64::from(max) {
                        return Ok(None);
                    }
                }
                let node = present.unwrap_or(device.node);
                sqlx::query(REGISTER)
                    .bind(&node)
                    .bind(&device.secret.0[..])
                    .bind(device.account)
                    .bind(device.device)
                    .bind(device.gateway.number())
                    .bind(device.address)
                    .bind(device.call_address)
                    .bind(device.public_key.map(|key| key.to_vec()))
                    .bind(device.auth.map(|auth| auth.to_vec()))
                    .bind(device.registered.as_micros())
                    .execute(conn)
                    .await?;
                Ok(Some(node))
            })
        })
        .await
    }

    async fn device(&self, node: &str) -> Result<Option<PushDevice>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Row> = sqlx::query_as(DEVICE).bind(node).fetch_optional(&mut *conn).await?;
        row.map(device).transpose()
    }

    async fn devices(&self, account: &str) -> Result<Vec<PushDevice>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(DEVICES).bind(account).fetch_all(&mut *conn).await?;
        rows.into_iter().map(device).collect()
    }

    async fn unregister(&self, device: &PushDevice) -> Result<bool, StoreError> {
        let (node, secret) = (device.node.clone(), device.secret);
        self.write(move |conn| {
            Box::pin(async move {
                let removed =
                    sqlx::query(UNREGISTER).bind(node).bind(&secret.0[..]).execute(conn).await?;
                Ok(removed.rows_affected() > 0)
            })
        })
        .await
    }

    async fn add_endpoint(
        &self,
        endpoint: &PushEndpoint,
        max: u32,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let endpoint = endpoint.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let present: Option<String> = sqlx::query_scalar(FIND_TOKEN)
                    .bind(&endpoint.account)
                    .bind(&endpoint.resource)
                    .bind(&endpoint.application)
                    .bind(&endpoint.instance)
                    .fetch_optional(&mut *conn)
                    .await?;
                if present.is_none() {
                    let count: i64 = sqlx::query_scalar(COUNT_ENDPOINTS)
                        .bind(&endpoint.account)
                        .bind(now.as_micros())
                        .fetch_one(&mut *conn)
                        .await?;
                    if count >= i64::from(max) {
                        return Ok(None);
                    }
                }
                let token = present.unwrap_or(endpoint.token);
                sqlx::query(ADD_ENDPOINT)
                    .bind(&token)
                    .bind(endpoint.account)
                    .bind(endpoint.resource)
                    .bind(endpoint.application)
                    .bind(endpoint.instance)
                    .bind(endpoint.expires.as_micros())
                    .execute(conn)
                    .await?;
                Ok(Some(token))
            })
        })
        .await
    }

    async fn endpoint(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<PushEndpoint>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(String, String, String, String, i64)> = sqlx::query_as(ENDPOINT)
            .bind(token)
            .bind(now.as_micros())
            .fetch_optional(&mut *conn)
            .await?;
        Ok(row.map(|(account, resource, application, instance, expires)| PushEndpoint {
            token: token.to_owned(),
            account,
            resource,
            application,
            instance,
            expires: Timestamp::from_micros(expires),
        }))
    }

    async fn remove_endpoint(&self, token: &str) -> Result<bool, StoreError> {
        let token = token.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let removed = sqlx::query(REMOVE_ENDPOINT).bind(token).execute(conn).await?;
                Ok(removed.rows_affected() > 0)
            })
        })
        .await
    }

    async fn expire_endpoints(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                let expired =
                    sqlx::query(EXPIRE_ENDPOINTS).bind(before.as_micros()).execute(conn).await?;
                Ok(expired.rows_affected())
            })
        })
        .await
    }
}

fn device(row: Row) -> Result<PushDevice, StoreError> {
    let (node, secret, account, device, gateway, address, call_address, public_key, auth, time) =
        row;
    let corrupt = || StoreError::Corrupt("a push device that is none".to_owned());
    Ok(PushDevice {
        node,
        secret: TokenHash(secret.try_into().map_err(|_| corrupt())?),
        account,
        device,
        gateway: PushGateway::from_number(gateway).ok_or_else(corrupt)?,
        address,
        call_address,
        public_key: public_key.map(Bytes::from),
        auth: auth.map(Bytes::from),
        registered: Timestamp::from_micros(time),
    })
}
