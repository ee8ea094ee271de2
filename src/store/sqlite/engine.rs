//! What the writer does with a batch: one transaction for its entries and jobs.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::oneshot;

use super::{append, maintain};
use crate::ticket::Outcome;
use crate::time::wall_clock;
use crate::{ArchiveIds, Entry, Options, StoreError, writer};

// Also looks whether another process purged an owner whose id is remembered here.
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT owner_epoch FROM archive_progress";

/// Owners whose ids are remembered; above it they are all forgotten and learnt again.
const KNOWN_OWNERS: usize = 100_000;

/// Rows in `archive_recent` above which a slice of them is moved into `archive`. The table must
/// stay small enough that a batch touches few of its pages: this is about 100 pages.
const RECENT_ROWS: u64 = 16_384;

/// A write other than appending messages.
pub(super) trait Job: Send {
    /// Does the work; whether it succeeded.
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> BoxFuture<'a, bool>;

    /// Tells the caller, after the transaction has ended.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A job made of a function and the way back to its caller.
pub(super) struct Call<F, T> {
    body: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Call<F, T> {
    pub(super) fn new(body: F, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { body: Some(body), result: None, reply }
    }
}

impl<F, T> Job for Call<F, T>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(body) = self.body.take() else {
                return false;
            };
            let result = body(conn).await;
            let succeeded = result.is_ok();
            self.result = Some(result);
            succeeded
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // A caller that is gone does not want the answer.
        let _ = self.reply.send(result);
    }
}

/// The writing connection with what it remembers.
pub(super) struct Engine {
    pub(super) conn: SqliteConnection,
    pub(super) ids: ArchiveIds,
    pub(super) owners: HashMap<String, i64>,
    owner_epoch: i64,
    recent_rows: u64,
    /// Where the next slice of `archive_recent` begins.
    moved_up_to: (i64, i64),
    /// Messages that are not in the full-text index, about.
    unindexed: u64,
    index_backlog: u64,
}

impl Engine {
    pub(super) async fn new(
        mut conn: SqliteConnection,
        ids: ArchiveIds,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let recent_rows = maintain::count_recent(&mut conn).await?;
        let unindexed = maintain::count_unindexed(&mut conn).await?;
        Ok(Self {
            conn,
            ids,
            owners: HashMap::new(),
            owner_epoch: -1,
            recent_rows,
            moved_up_to: (0, 0),
            unindexed,
            index_backlog: u64::from(options.index_backlog),
        })
    }

    /// Writes a batch up to its end; which entries failed.
    async fn transact(
        &mut self,
        entries: &[Entry],
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Vec<(usize, StoreError)>, StoreError> {
        self.begin().await?;
        let failed = self.append(entries).await?;
        if self.run_jobs(jobs, entries.is_empty()).await? {
            sqlx::query("COMMIT").execute(&mut self.conn).await?;
        }
        Ok(failed)
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let epoch: i64 = sqlx::query_scalar(BEGIN).fetch_one(&mut self.conn).await?;
        if epoch != self.owner_epoch || self.owners.len() > KNOWN_OWNERS {
            self.owners.clear();
            self.owner_epoch = epoch;
        }
        Ok(())
    }

    /// Writes all entries at once or, should that fail, each by itself.
    async fn append(&mut self, entries: &[Entry]) -> Result<Vec<(usize, StoreError)>, StoreError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let all = append::insert(self, entries, wall_clock()).await;
        let Err(error) = all else {
            return Ok(Vec::new());
        };
        tracing::warn!(%error, entries = entries.len(), "a batch failed, trying each entry alone");
        self.rollback().await;
        self.begin().await?;
        let mut failed = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            sqlx::query("SAVEPOINT entry").execute(&mut self.conn).await?;
            let one = append::insert(self, std::slice::from_ref(entry), wall_clock()).await;
            if let Err(error) = one {
                self.owners.clear();
                sqlx::query("ROLLBACK TO entry").execute(&mut self.conn).await?;
                failed.push((place, error));
            }
            sqlx::query("RELEASE entry").execute(&mut self.conn).await?;
        }
        Ok(failed)
    }

    /// Runs the jobs, undoing those that fail; `false` when there is nothing left to commit.
    async fn run_jobs(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        nothing_else: bool,
    ) -> Result<bool, StoreError> {
        if let ([job], true) = (&mut *jobs, nothing_else) {
            // The transaction is its alone and needs no savepoint inside.
            let succeeded = job.run(&mut self.conn).await;
            if !succeeded {
                self.rollback().await;
            }
            return Ok(succeeded);
        }
        for job in jobs {
            sqlx::query("SAVEPOINT job").execute(&mut self.conn).await?;
            if !job.run(&mut self.conn).await {
                // Fails when the error has already ended the transaction; then the batch is lost.
                sqlx::query("ROLLBACK TO job").execute(&mut self.conn).await?;
            }
            sqlx::query("RELEASE job").execute(&mut self.conn).await?;
        }
        Ok(true)
    }

    /// Ends the transaction, if there still is one, and forgets what was learnt in it.
    pub(super) async fn rollback(&mut self) {
        self.owners.clear();
        // Some errors have ended the transaction already; then there is none to roll back.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.conn).await;
    }

    fn count(&mut self, entries: &[Entry], failed: &[(usize, StoreError)]) {
        for (place, entry) in entries.iter().enumerate() {
            if failed.iter().all(|(bad, _)| *bad != place) {
                self.recent_rows += entry.owners.len() as u64;
                self.unindexed += u64::from(entry.text.is_some());
            }
        }
    }

    async fn piece_of_work(&mut self, busy: bool) -> Result<bool, StoreError> {
        if self.recent_rows > RECENT_ROWS {
            let (moved, up_to) = maintain::move_slice(&mut self.conn, self.moved_up_to).await?;
            self.moved_up_to = up_to;
            // Rows of expired or purged archives were moved without being counted here.
            self.recent_rows = if moved == 0 {
                maintain::count_recent(&mut self.conn).await?
            } else {
                self.recent_rows.saturating_sub(moved)
            };
            return Ok(true);
        }
        if self.unindexed > 0 && (!busy || self.unindexed > self.index_backlog) {
            let seen = maintain::index_slice(&mut self.conn).await?;
            self.unindexed = self.unindexed.saturating_sub(seen.indexed);
            if !seen.more {
                self.unindexed = 0;
            }
            return Ok(true);
        }
        if busy {
            return Ok(false);
        }
        maintain::purge_slice(&mut self.conn).await
    }
}

impl writer::Engine for Engine {
    type Job = Box<dyn Job>;

    async fn write(&mut self, entries: &[Entry], mut jobs: Vec<Box<dyn Job>>) -> Outcome {
        match self.transact(entries, &mut jobs).await {
            Ok(failed) => {
                self.count(entries, &failed);
                jobs.into_iter().for_each(|job| job.answer(Ok(())));
                Outcome::Written { failed }
            }
            Err(error) => {
                self.rollback().await;
                jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
                Outcome::Lost(error)
            }
        }
    }

    async fn work(&mut self, busy: bool) -> bool {
        match self.piece_of_work(busy).await {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%error, "background work in the store failed");
                self.rollback().await;
                false
            }
        }
    }

    async fn close(mut self) {
        // Leaves one file behind instead of three; the data is safe without it.
        let _ = sqlx::query("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut self.conn)
            .await;
        let _ = self.conn.close().await;
    }
}
