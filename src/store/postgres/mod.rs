//! PostgreSQL: one connection appends messages in batches (see `engine`), a pool does everything else.
//! Several processes may share one database.

mod append;
mod backup;
mod engine;
mod maintain;
mod query;

// SQL that both databases understand is written once and compiled for each of them.
#[path = "../sql/mod.rs"]
mod sql;

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection, Postgres};
use tokio::task::JoinHandle;

use self::engine::Engine;
use crate::writer::{self, Queue};
use crate::{Options, Store, StoreError, migrations};

type Connection = PgConnection;
type DatabaseRow = sqlx::postgres::PgRow;

pub(crate) struct Database {
    queue: Arc<Queue<Infallible>>,
    pool: PgPool,
    writer: Mutex<Option<JoinHandle<()>>>,
    options: Options,
}

impl Database {
    pub(crate) async fn open(url: &str, options: &Options) -> Result<Store, StoreError> {
        let connect = connect_options(url)?;
        let mut conn = connect.connect().await?;
        migrations::migrator(migrations::POSTGRES)
            .run(&mut conn)
            .await
            .map_err(|error| migrations::failure(migrations::POSTGRES, error))?;
        let (message_ids, archive_ids) = sql::open(&mut conn).await?;
        let engine = Engine::new(connect.clone(), conn, message_ids, options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .connect_with(connect)
            .await?;
        let queue = Queue::new(options);
        let writer = writer::start(&queue, engine);
        let database = Arc::new(Self {
            queue,
            pool,
            writer: Mutex::new(Some(writer)),
            options: options.clone(),
        });
        Ok(Store::of(database, archive_ids))
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn queue(&self) -> &Queue<Infallible> {
        &self.queue
    }

    async fn piece_of_work(&self) -> Result<bool, StoreError> {
        let lag = self.options.index_lag;
        self.write(move |conn| Box::pin(maintain::piece(conn, lag))).await
    }

    async fn read(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// Runs `job` in a transaction and returns when that is committed. An error undoes what the job did.
    async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let mut transaction = self.pool.begin().await?;
        let answer = job(&mut transaction).await?;
        transaction.commit().await?;
        Ok(answer)
    }
}

fn connect_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let connect: PgConnectOptions = url
        .parse()
        // The address holds a password, which must not get into a log.
        .map_err(|_| StoreError::Url)?;
    Ok(connect
        .application_name("wello")
        // What is acknowledged survives a power failure, whatever the server's default is.
        .options([("synchronous_commit", "on")])
        .disable_statement_logging())
}

const HAS_SCHEMA: &str = "SELECT count(*) FROM information_schema.tables
    WHERE table_name = '_sqlx_migrations' AND table_schema = ANY (current_schemas(false))";
const SCHEMA: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";

/// See [`Store::schema`].
pub(crate) async fn schema(url: &str) -> Result<Option<(i64, i64)>, StoreError> {
    let mut conn = connect_options(url)?.connect().await?;
    let tables: i64 = sqlx::query_scalar(HAS_SCHEMA).fetch_one(&mut conn).await?;
    if tables == 0 {
        return Ok(None);
    }
    let found: i64 = sqlx::query_scalar(SCHEMA).fetch_one(&mut conn).await?;
    Ok(Some((found, migrations::POSTGRES.last().map_or(0, |(version, ..)| *version))))
}

impl Drop for Database {
    fn drop(&mut self) {
        self.queue.close();
    }
}
