//! What the writer does with a batch, also when the server goes away in the midst of it.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::append::{self, Row};
use super::maintain;
use crate::ticket::Outcome;
use crate::time::wall_clock;
use crate::{ArchiveIds, Entry, Options, StoreError, writer};

/// How often a batch is tried again after the server was lost, waiting twice as long each time. All in all
/// 12 s, in which a server has restarted; meanwhile the queue holds back those who send.
const RETRIES: u32 = 7;
const FIRST_WAIT: Duration = Duration::from_millis(100);

pub(super) struct Engine {
    connect: PgConnectOptions,
    /// None after it was lost.
    conn: Option<PgConnection>,
    ids: ArchiveIds,
    /// Messages that are not in the full-text index, about.
    unindexed: u64,
    index_backlog: u64,
    index_lag: Duration,
}

/// Why a batch was not written.
struct Failure {
    error: StoreError,
    /// Which entries were left out, when the commit was under way: it may have happened.
    committing: Option<Vec<(usize, StoreError)>>,
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), committing: None }
    }
}

impl Engine {
    pub(super) async fn new(
        connect: PgConnectOptions,
        mut conn: PgConnection,
        ids: ArchiveIds,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let unindexed = maintain::count_unindexed(&mut conn).await?;
        Ok(Self {
            connect,
            conn: Some(conn),
            ids,
            unindexed,
            index_backlog: u64::from(options.index_backlog),
            index_lag: options.index_lag,
        })
    }

    async fn write_rows(&mut self, rows: &[Row<'_>]) -> Outcome {
        let mut committing = None;
        for retry in 0..=RETRIES {
            let failure = match self.attempt(rows, committing.take()).await {
                Ok(failed) => return Outcome::Written { failed },
                Err(failure) => failure,
            };
            self.conn = None;
            if retry == RETRIES || !is_lost(&failure.error) {
                return Outcome::Lost(failure.error);
            }
            tracing::warn!(error = %failure.error, "the database was lost, connecting again");
            committing = failure.committing;
            tokio::time::sleep(FIRST_WAIT * 2u32.pow(retry)).await;
        }
        Outcome::Lost(StoreError::Closed)
    }

    /// Writes the rows in one transaction, unless an attempt before turns out to have succeeded.
    async fn attempt(
        &mut self,
        rows: &[Row<'_>],
        committing: Option<Vec<(usize, StoreError)>>,
    ) -> Result<Vec<(usize, StoreError)>, Failure> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect.connect().await?,
        };
        if let Some(failed) = committing
            && append::is_written(&mut conn, rows).await?
        {
            self.conn = Some(conn);
            return Ok(failed);
        }
        append::begin(&mut conn).await?;
        let failed = match append::insert(&mut conn, rows).await {
            Ok(()) => Vec::new(),
            Err(error) if is_lost(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, rows = rows.len(), "a batch failed, trying each alone");
                sqlx::query("ROLLBACK").execute(&mut conn).await?;
                append::begin(&mut conn).await?;
                append::insert_each(&mut conn, rows).await?
            }
        };
        match sqlx::query("COMMIT").execute(&mut conn).await {
            Ok(_) => {
                self.conn = Some(conn);
                Ok(failed)
            }
            Err(error) => Err(Failure { error: error.into(), committing: Some(failed) }),
        }
    }

    async fn piece_of_work(&mut self) -> Result<bool, StoreError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect.connect().await?,
        };
        let mut transaction = conn.begin().await?;
        let indexed = maintain::index_within(&mut transaction, self.index_lag).await?;
        let more = indexed > 0 || maintain::purge_within(&mut transaction).await?;
        transaction.commit().await?;
        self.conn = Some(conn);
        self.unindexed = self.unindexed.saturating_sub(indexed);
        Ok(more)
    }
}

/// Whether the connection is gone rather than the statement wrong.
fn is_lost(error: &StoreError) -> bool {
    let StoreError::Database(error) = error else { return false };
    match &**error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        // Class 08 connection exception, 57P operator intervention (shutdown, crash, starting up).
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

impl writer::Engine for Engine {
    type Job = Infallible;

    async fn write(&mut self, entries: &[Entry], _jobs: Vec<Infallible>) -> Outcome {
        // Once for all attempts: by these ids it is known whether one has succeeded.
        let rows = append::rows(&self.ids, entries, wall_clock());
        let outcome = self.write_rows(&rows).await;
        let texts = entries.iter().filter(|entry| entry.text.is_some()).count();
        self.unindexed += texts as u64;
        outcome
    }

    async fn work(&mut self, busy: bool) -> bool {
        if busy && self.unindexed <= self.index_backlog {
            return false;
        }
        self.piece_of_work().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "background work in the store failed");
            false
        })
    }

    async fn close(self) {
        if let Some(conn) = self.conn {
            // The server notices a closed socket as well.
            let _ = conn.close().await;
        }
    }
}
