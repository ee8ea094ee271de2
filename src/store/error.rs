use std::sync::Arc;

/// What can go wrong in storage itself. A refusal that callers expect (a name is taken,
/// a version does not match) is never an error here but a variant of the call's own answer.
///
/// Cheap to clone, because one failed commit is reported to everyone who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("database: {0}")]
    Database(Arc<sqlx::Error>),
    /// The database was written by a newer program; going on would damage it.
    #[error(
        "the database has schema version {found}, this program knows versions up to {known}: start a newer program"
    )]
    NewerSchema {
        /// Newest version applied to the database.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// A migration failed, or an applied one is not what this program carries.
    #[error("migration: {0}")]
    Migration(String),
    /// `storage.url` is neither a SQLite file nor a PostgreSQL address. It may hold a password, so
    /// it is not repeated.
    #[error("expected sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE")]
    Url,
    /// A stored value cannot be read back.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// An address was not given as `local@domain`.
    #[error("{0:?} is not an account address (local@domain)")]
    Address(String),
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
    /// One entry is larger than the whole queue.
    #[error("an entry of {size} bytes exceeds the write queue of {limit} bytes")]
    TooLarge {
        /// Bytes of the entry.
        size: usize,
        /// Bound of the queue in bytes.
        limit: usize,
    },
    /// The operation does not exist on this database.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A file could not be written or read.
    #[error("file: {0}")]
    Io(Arc<std::io::Error>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Database(Arc::new(error)),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
