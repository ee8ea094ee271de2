use std::sync::Arc;

use crate::{
    Accounts, Archive, ArchiveIds, BlockLists, CapsCache, Clients, Documents, Invites,
    LastActivities, Meta, Offline, RefreshTokens, Reports, Rosters, Sessions,
};

/// All domains of one opened database.
#[derive(Clone)]
pub struct Store {
    pub accounts: Arc<dyn Accounts>,
    pub archive: Arc<dyn Archive>,
    pub blocking: Arc<dyn BlockLists>,
    pub caps: Arc<dyn CapsCache>,
    pub clients: Arc<dyn Clients>,
    pub documents: Arc<dyn Documents>,
    pub invites: Arc<dyn Invites>,
    pub last: Arc<dyn LastActivities>,
    pub meta: Arc<dyn Meta>,
    pub offline: Arc<dyn Offline>,
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    pub reports: Arc<dyn Reports>,
    pub roster: Arc<dyn Rosters>,
    pub sessions: Arc<dyn Sessions>,
    /// Makes the ids for [`Entry`](crate::Entry); take one right before appending.
    pub archive_ids: Arc<ArchiveIds>,
}
