use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One batch as it was written, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchReport {
    /// Messages in it.
    pub messages: usize,
    /// Other writes in it.
    pub jobs: usize,
    /// Bytes of the messages.
    pub bytes: usize,
    /// From taking the batch to having it on stable storage.
    pub latency: Duration,
}

/// Is called by the writer after every batch; must not block.
pub type OnBatch = Arc<dyn Fn(&BatchReport) + Send + Sync>;

/// How a store is run.
#[derive(Clone)]
pub struct Options {
    /// Connections for reading (SQLite), or for everything but appending (PostgreSQL).
    pub connections: u32,
    /// Bytes of entries that may wait for being written; appending waits above it.
    pub queue_bytes: usize,
    /// Entries in one transaction at most. Above a thousand the gain is small and waiting grows.
    pub batch_entries: usize,
    /// Bytes in one transaction at most.
    pub batch_bytes: usize,
    /// Rows of the capabilities cache.
    pub caps_entries: u32,
    /// Messages missing in the full-text index above which the writer indexes even when it is busy.
    pub index_backlog: u32,
    /// How long the writer must be idle before it does background work.
    pub idle: Duration,
    /// How old a message must be to be indexed where several nodes write: none of them may still be
    /// writing an older one.
    pub index_lag: Duration,
    pub on_batch: Option<OnBatch>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            queue_bytes: 16 << 20,
            batch_entries: 1_000,
            batch_bytes: 4 << 20,
            caps_entries: 10_000,
            index_backlog: 50_000,
            idle: Duration::from_secs(2),
            index_lag: Duration::from_secs(10),
            on_batch: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connections", &self.connections)
            .field("queue_bytes", &self.queue_bytes)
            .field("batch_entries", &self.batch_entries)
            .field("batch_bytes", &self.batch_bytes)
            .field("caps_entries", &self.caps_entries)
            .finish_non_exhaustive()
    }
}
