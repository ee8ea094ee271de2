//! SQLite: one connection writes (see `engine`), a pool reads.

mod append;
mod backup;
mod engine;
mod maintain;
mod query;

// SQL that both databases understand is written once and compiled for each of them.
#[path = "../sql/mod.rs"]
mod sql;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, SqliteConnection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::engine::{Call, Engine, Job};
use crate::writer::{self, Queue};
use crate::{Options, Store, StoreError, migrations};

pub(crate) use self::backup::{check_backup, schema};

pub(crate) type Connection = SqliteConnection;
pub(crate) type DatabaseRow = sqlx::sqlite::SqliteRow;

/// Pages in the write-ahead log before they are moved into the database. With the usual 1 000 a
/// busy server would move the same pages over and over.
const CHECKPOINT_PAGES: &str = "4000";

/// Bytes to which the write-ahead log is cut back.
const LOG_BYTES: &str = "67108864";

/// Cache of the writer, in KiB as SQLite wants it; readers keep its default of 2 MiB.
const WRITER_CACHE: &str = "-16384";

/// Another process (a command on the console, a backup) may hold the database that long.
const BUSY: Duration = Duration::from_secs(30);

pub(crate) struct Database {
    queue: Arc<Queue<Box<dyn Job>>>,
    readers: SqlitePool,
    writer: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
    options: Options,
}

impl Database {
    pub(crate) async fn open(path: PathBuf, options: &Options) -> Result<Store, StoreError> {
        create_private(&path)?;
        let connect = connect_options(&path);
        let mut conn = connect.clone().pragma("cache_size", WRITER_CACHE).connect().await?;
        migrations::migrator(migrations::SQLITE)
            .run(&mut conn)
            .await
            .map_err(|error| migrations::failure(migrations::SQLITE, error))?;
        let (message_ids, archive_ids) = sql::open(&mut conn).await?;
        let engine = Engine::new(conn, message_ids, options).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            // A local file does not go away.
            .test_before_acquire(false)
            .connect_with(connect.read_only(true))
            .await?;
        let queue = Queue::new(options);
        let writer = writer::start(&queue, engine);
        let database = Arc::new(Self {
            queue,
            readers,
            writer: Mutex::new(Some(writer)),
            path,
            options: options.clone(),
        });
        Ok(Store::of(database, archive_ids))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    fn queue(&self) -> &Queue<Box<dyn Job>> {
        &self.queue
    }

    async fn piece_of_work(&self) -> Result<bool, StoreError> {
        self.write(|conn| Box::pin(maintain::piece(conn))).await
    }

    /// A connection that sees what is committed.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// Runs `job` in the writer's transaction and returns when that is committed. An error undoes
    /// what the job did.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.submit(Box::new(Call::new(job, reply))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What is acknowledged survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

/// The file holds keys and messages: nobody else may read it. SQLite gives its log the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut create = std::fs::OpenOptions::new();
    create.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match create.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}
