//! Files that accounts upload (XEP-0363): who may upload what, what is there, and what its content
//! is called on the disk. The content itself is not in the database.

use async_trait::async_trait;

use crate::words::words;
use crate::{StoreError, Timestamp};

/// What an upload is for (XEP-0363, section 5), which decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UploadPurpose {
    #[default]
    Message,
    /// An avatar and the like, with a small quota of its own.
    Profile,
    Ephemeral,
    Permanent,
}

words!(UploadPurpose {
    Message = "message",
    Profile = "profile",
    Ephemeral = "ephemeral",
    Permanent = "permanent",
});

/// SHA-256 of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHash(pub [u8; 32]);

/// A file that may be uploaded, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its secret, which is in its address.
    pub token: String,
    pub account: String,
    /// As it is shown; never a path.
    pub name: String,
    pub media_type: Option<String>,
    /// Bytes.
    pub size: u64,
    pub purpose: UploadPurpose,
    pub created: Timestamp,
    /// Until when the upload may begin.
    pub slot_expires: Timestamp,
    /// Until when it is kept; `None`: as long as the account.
    pub expires: Option<Timestamp>,
    /// `None` before it is uploaded and after it has expired.
    pub content: Option<Content>,
    /// When it was uploaded, also if it has expired since.
    pub stored: Option<Timestamp>,
}

/// Where the content of an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its name on the disk.
    pub blob: String,
    pub hash: FileHash,
}

/// What one account may upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes within [`UPLOAD_DAY_MICROS`].
    pub day_bytes: u64,
    /// Bytes of all files but those for profiles.
    pub account_bytes: u64,
    /// Bytes of all files for profiles; the oldest give way.
    pub profile_bytes: u64,
    /// Slots that wait for their upload.
    pub open_slots: u32,
}

/// The quota of a day counts this long.
pub const UPLOAD_DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    Reserved,
    /// Too much within a day; there is room again at that time.
    DayFull(Timestamp),
    /// Too much altogether; some of it expires at that time, if ever.
    AccountFull(Option<Timestamp>),
    /// Too many slots were asked for and not used; one of them expires at that time.
    TooManySlots(Timestamp),
}

/// What became of an upload whose bytes have all come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// It is there, under the given name.
    Stored,
    /// It is there; a file with the same content was there before.
    Shared,
    /// It is not there: no file has this content, and it has not been put in place.
    NotInPlace,
    /// It is not there: the slot is gone or used.
    Refused,
}

/// What an account has uploaded, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadUsage {
    pub account_bytes: u64,
    pub day_bytes: u64,
    pub files: u64,
}

/// Uploads of all accounts (bare JIDs).
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Adds a slot, if the account has room for it.
    async fn reserve(
        &self,
        upload: &Upload,
        limits: &UploadLimits,
    ) -> Result<Reservation, StoreError>;

    async fn find(&self, token: &str) -> Result<Option<Upload>, StoreError>;

    /// The files of an account that are there, ordered by token, those after `after`.
    async fn of_account(
        &self,
        account: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Upload>, StoreError>;

    /// Makes an upload visible. `in_place`: the name on the disk under which its content is already;
    /// if the answer is not [`Commit::Stored`], it has to go.
    async fn commit(
        &self,
        token: &str,
        media_type: &str,
        hash: &FileHash,
        at: Timestamp,
        in_place: Option<&str>,
    ) -> Result<Commit, StoreError>;

    async fn usage(&self, account: &str, now: Timestamp) -> Result<UploadUsage, StoreError>;

    /// Takes up to `limit` uploads away that are older than they are kept, and slots that were not
    /// used; how many.
    async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Takes all uploads of an account away; how many.
    async fn remove_account(&self, account: &str) -> Result<u64, StoreError>;

    /// Names on the disk that no upload has any more and none will get.
    async fn dead_blobs(&self, limit: u32) -> Result<Vec<String>, StoreError>;

    /// After a dead one was removed from the disk.
    async fn forget_blob(&self, blob: &str) -> Result<(), StoreError>;

    /// Whether this is the name on the disk of some upload's content.
    async fn has_blob(&self, blob: &str) -> Result<bool, StoreError>;
}
