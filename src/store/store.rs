use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Accounts, Archive, ArchiveIds, AuditLog, BlockFeeds, BlockLists, CapsCache, Clients, Documents,
    Invites, LastActivities, Location, Meta, Offline, Options, Privacy, PubSub, PushDevices,
    PushServices, RefreshTokens, Reports, Rooms, Rosters, Sessions, StoreError, Uploads, postgres,
    sqlite,
};

/// All domains of one opened database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub accounts: Arc<dyn Accounts>,
    pub archive: Arc<dyn Archive>,
    pub audit: Arc<dyn AuditLog>,
    pub block_feeds: Arc<dyn BlockFeeds>,
    pub blocking: Arc<dyn BlockLists>,
    pub caps: Arc<dyn CapsCache>,
    pub clients: Arc<dyn Clients>,
    pub documents: Arc<dyn Documents>,
    pub invites: Arc<dyn Invites>,
    pub last: Arc<dyn LastActivities>,
    pub meta: Arc<dyn Meta>,
    pub offline: Arc<dyn Offline>,
    pub privacy: Arc<dyn Privacy>,
    pub pubsub: Arc<dyn PubSub>,
    pub push: Arc<dyn PushServices>,
    pub push_devices: Arc<dyn PushDevices>,
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    pub reports: Arc<dyn Reports>,
    pub rooms: Arc<dyn Rooms>,
    pub roster: Arc<dyn Rosters>,
    pub sessions: Arc<dyn Sessions>,
    pub uploads: Arc<dyn Uploads>,
    /// Makes the ids for [`Entry`](crate::Entry); take one right before appending.
    pub archive_ids: Arc<ArchiveIds>,
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens a database, makes it if there is none, and brings its schema up to date.
    ///
    /// For `url` see [`Location::parse`].
    pub async fn open(url: &str, data_dir: &Path, options: &Options) -> Result<Self, StoreError> {
        match Location::parse(url, data_dir)? {
            Location::Sqlite(file) => sqlite::Database::open(file, options).await,
            Location::Postgres(url) => postgres::Database::open(&url, options).await,
        }
    }

    /// Copies the database into a new file while it is in use (SQLite only; for PostgreSQL there is
    /// `pg_dump`).
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.backend.backup(to).await
    }

    /// The version of a database's schema, and the newest one that this program knows. `None`
    /// when there is no database, or nothing in it. Changes nothing.
    pub async fn schema(url: &str, data_dir: &Path) -> Result<Option<(i64, i64)>, StoreError> {
        match Location::parse(url, data_dir)? {
            Location::Sqlite(file) => sqlite::schema(&file).await,
            Location::Postgres(url) => postgres::schema(&url).await,
        }
    }

    /// Whether a file is an undamaged SQLite database of this program, of a schema that it knows.
    /// Makes one file of it and the log beside it, if there is one.
    pub async fn check_backup(file: &Path) -> Result<(), StoreError> {
        sqlite::check_backup(file).await
    }

    /// Looks for damage; each problem is a line for the operator. Visits everything.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.backend.check().await
    }

    /// Writes what waits to be written and closes the database. Calls after it get
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.backend.close().await;
    }

    pub(crate) fn of<D: Domains>(database: Arc<D>, archive_ids: ArchiveIds) -> Self {
        Self {
            accounts: database.clone(),
            archive: database.clone(),
            audit: database.clone(),
            block_feeds: database.clone(),
            blocking: database.clone(),
            caps: database.clone(),
            clients: database.clone(),
            documents: database.clone(),
            invites: database.clone(),
            last: database.clone(),
            meta: database.clone(),
            offline: database.clone(),
            privacy: database.clone(),
            pubsub: database.clone(),
            push: database.clone(),
            push_devices: database.clone(),
            refresh_tokens: database.clone(),
            reports: database.clone(),
            rooms: database.clone(),
            roster: database.clone(),
            sessions: database.clone(),
            uploads: database.clone(),
            archive_ids: Arc::new(archive_ids),
            backend: database,
        }
    }
}

/// What a database does as a whole.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
    async fn check(&self) -> Result<Vec<String>, StoreError>;
    async fn close(&self);
}

/// A database with all domains.
pub(crate) trait Domains:
    Accounts
    + Archive
    + AuditLog
    + Backend
    + BlockFeeds
    + BlockLists
    + CapsCache
    + Clients
    + Documents
    + Invites
    + LastActivities
    + Meta
    + Offline
    + Privacy
    + PubSub
    + PushDevices
    + PushServices
    + RefreshTokens
    + Reports
    + Rooms
    + Rosters
    + Sessions
    + Uploads
    + 'static
{
}

impl Domains for postgres::Database {}
impl Domains for sqlite::Database {}
