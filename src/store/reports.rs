//! Reports of spam and abuse (XEP-0377).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreError, Timestamp};

/// Row number of a report, ascending in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(pub i64);

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Bare JID of who reports.
    pub reporter: String,
    /// JID that is complained about.
    pub reported: String,
    /// Reason as a URN, for example `urn:xmpp:reporting:spam`.
    pub reason: String,
    pub text: Option<String>,
    /// The `<report/>` element with the messages it names.
    pub evidence: Bytes,
    pub time: Timestamp,
}

/// Reports of this server.
#[async_trait]
pub trait Reports: Send + Sync {
    async fn append(&self, report: &Report) -> Result<ReportId, StoreError>;

    /// Newest first, beginning below `before`.
    async fn list(
        &self,
        before: Option<ReportId>,
        limit: u32,
    ) -> Result<Vec<(ReportId, Report)>, StoreError>;

    /// `false` when there was none.
    async fn remove(&self, id: ReportId) -> Result<bool, StoreError>;
}
