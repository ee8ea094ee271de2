//! Files that accounts upload: one service for every door. Who may upload what and what is there is
//! in the store, the content on a disk or in a bucket.
//!
//! What is acknowledged is safe, and what is not leaves nothing behind. Content comes into a file of
//! its own under `incoming`; complete and synced it is put in its place; then the store makes it
//! visible in one transaction; then the file under `incoming` goes. So whatever is found there
//! after a crash tells what was under way.

mod arrival;
mod blobs;
mod name;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use parking_lot::Mutex;
use thiserror::Error;
use wello_store::{
    Content, Reservation, Store, StoreError, Timestamp, Upload, UploadLimits, UploadPurpose,
};
use wello_wire::jid::BareJid;

use crate::clock::{Clock, random_id};
use crate::config;
use blobs::{Blobs, Bucket, Folder, in_background};

pub use arrival::{Arrival, ReceiveError};
pub use blobs::Pieces;
pub use name::{UNKNOWN_TYPE, essence, file_name, is_inert, media_type, percent_encoded};

/// XEP-0363, section 8: there is no reason to wait between asking for a slot and using it.
const SLOT_MICROS: i64 = 300 * 1_000_000;
/// Slots of an account that wait for their upload: an album of pictures is one for each.
const OPEN_SLOTS: u32 = 100;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Rows taken away in one transaction.
const BATCH: u32 = 200;
/// What is found under `incoming` while the server runs and is younger than this may belong to an
/// upload whose commit is still under way.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The files of all accounts.
pub struct Files {
    store: Store,
    clock: Clock,
    config: config::Uploads,
    incoming: PathBuf,
    blobs: Arc<dyn Blobs>,
    /// Tokens whose uploads are under way.
    arriving: Arc<Mutex<HashSet<String>>>,
}

/// What somebody wants to upload.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    pub account: &'a BareJid,
    pub name: &'a str,
    pub media_type: Option<String>,
    pub size: u64,
    pub purpose: UploadPurpose,
    /// When it has to be gone at the latest.
    pub gone_by: Option<Timestamp>,
}

/// Why there is no slot.
#[derive(Debug, Error)]
pub enum SlotError {
    #[error("a file may have {max} bytes")]
    TooLarge { max: u64 },
    /// There may be room again at that time.
    #[error("{text}")]
    Full { text: &'static str, retry: Option<Timestamp> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a file was not stored.
#[derive(Debug, Error)]
pub enum StoreFileError {
    #[error(transparent)]
    Slot(#[from] SlotError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}

/// The bucket of the configuration cannot be used.
#[derive(Debug, Error)]
#[error("uploads.s3: {0}")]
pub struct BucketError(#[from] object_store::Error);

impl Files {
    pub fn open(
        config: &config::Config,
        store: &Store,
        clock: Clock,
    ) -> Result<Files, BucketError> {
        let folder = config.data_dir.join("uploads");
        let blobs: Arc<dyn Blobs> = match &config.uploads.s3 {
            Some(s3) => Arc::new(bucket(s3)?),
            None => Arc::new(Folder::new(folder.join("files"))),
        };
        Ok(Files {
            store: store.clone(),
            clock,
            config: config.uploads.clone(),
            incoming: folder.join("incoming"),
            blobs,
            arriving: Arc::default(),
        })
    }

    /// Bytes of the largest file that may be uploaded for a purpose.
    pub fn max_bytes(&self, purpose: UploadPurpose) -> u64 {
        let config::Uploads { max_bytes, day_bytes, account_bytes, profile_bytes, .. } =
            self.config;
        match purpose {
            UploadPurpose::Profile => max_bytes.min(day_bytes).min(profile_bytes),
            _ => max_bytes.min(day_bytes).min(account_bytes),
        }
    }

    /// Gives a slot, which is bound to the size and, if one is named, the media type.
    pub async fn reserve(&self, wish: Wish<'_>) -> Result<Upload, SlotError> {
        let max = self.max_bytes(wish.purpose);
        if wish.size > max {
            return Err(SlotError::TooLarge { max });
        }
        let created = self.clock.now();
        let upload = Upload {
            token: random_id(),
            account: wish.account.to_string(),
            name: file_name(wish.name),
            media_type: wish.media_type,
            size: wish.size,
            purpose: wish.purpose,
            created,
            slot_expires: created.plus_micros(SLOT_MICROS),
            expires: self.expiry(created, wish.purpose, wish.gone_by),
            content: None,
            stored: None,
        };
        let limits = UploadLimits {
            day_bytes: self.config.day_bytes,
            account_bytes: self.config.account_bytes,
            profile_bytes: self.config.profile_bytes,
            open_slots: OPEN_SLOTS,
        };
        let full = |text, retry| Err(SlotError::Full { text, retry });
        match self.store.uploads.reserve(&upload, &limits).await? {
            Reservation::Reserved => Ok(upload),
            Reservation::DayFull(at) => full("you have uploaded enough for a day", Some(at)),
            Reservation::AccountFull(at) => full("your files take all the room you have", at),
            Reservation::TooManySlots(at) => {
                full("you have asked for many slots and not used them", Some(at))
            }
        }
    }

    /// Gives a slot to a file that an operator brings from another server, with the token and the times that
    /// it had there. Quotas are for what users upload.
    pub async fn adopt(&self, upload: &Upload) -> Result<(), StoreError> {
        let slot = Upload {
            name: file_name(&upload.name),
            slot_expires: self.clock.now().plus_micros(SLOT_MICROS),
            content: None,
            stored: None,
            ..upload.clone()
        };
        let limits = UploadLimits {
            day_bytes: u64::MAX,
            account_bytes: u64::MAX,
            profile_bytes: u64::MAX,
            open_slots: u32::MAX,
        };
        self.store.uploads.reserve(&slot, &limits).await.map(drop)
    }

    fn expiry(
        &self,
        created: Timestamp,
        purpose: UploadPurpose,
        gone_by: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let days = match purpose {
            UploadPurpose::Message | UploadPurpose::Ephemeral => self.config.keep_days,
            UploadPurpose::Profile | UploadPurpose::Permanent => 0,
        };
        let kept = (days > 0).then(|| created.saturating_add(DAY * days));
        kept.into_iter().chain(gone_by).min()
    }

    /// The path of a file's address.
    pub fn path(upload: &Upload) -> String {
        format!("/upload/{}/{}", upload.token, percent_encoded(&upload.name))
    }

    /// A file that is there.
    pub async fn find(&self, token: &str, name: &str) -> Result<Option<Upload>, StoreError> {
        let found = self.store.uploads.find(token).await?;
        let now = self.clock.now();
        Ok(found.filter(|upload| {
            upload.content.is_some()
                && upload.name == name
                && upload.expires.is_none_or(|expires| expires > now)
        }))
    }

    /// A file that is there, by its [`Files::path`].
    pub async fn find_by_path(&self, path: &str) -> Result<Option<Upload>, StoreError> {
        let token = path.strip_prefix("/upload/").and_then(|rest| rest.split('/').next());
        let Some(token) = token else { return Ok(None) };
        let Some(upload) = self.store.uploads.find(token).await? else { return Ok(None) };
        let found = self.find(token, &upload.name).await?;
        Ok(found.filter(|upload| Files::path(upload) == path))
    }

    /// Stores a file that is at hand.
    pub async fn store(&self, wish: Wish<'_>, content: Bytes) -> Result<Upload, StoreFileError> {
        let slot = self.reserve(wish).await?;
        let length = content.len() as u64;
        let mut arrival = self.receive(&slot.token, &slot.name, length, None).await?;
        arrival.write(content).await?;
        Ok(arrival.finish().await?)
    }

    /// The bytes of a range that lies within the content.
    pub async fn read(&self, content: &Content, range: Range<u64>) -> io::Result<Pieces> {
        self.blobs.read(&content.blob, range).await
    }

    /// Removes all files of an account.
    pub async fn forget_account(&self, account: &BareJid) -> Result<(), StoreError> {
        self.store.uploads.remove_account(account.as_str()).await?;
        self.remove_dead().await
    }

    /// Removes what has been kept long enough; how many uploads.
    pub async fn expire(&self) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let expired = self.store.uploads.expire(self.clock.now(), BATCH).await?;
            count += expired;
            if expired < u64::from(BATCH) {
                break;
            }
        }
        self.remove_dead().await?;
        self.clear_incoming(Some(ABANDONED)).await?;
        Ok(count)
    }

    /// Removes what uploads left behind that were under way when the process ended. To be called
    /// before there are new ones.
    pub async fn recover(&self) -> Result<(), StoreError> {
        self.clear_incoming(None).await?;
        self.remove_dead().await
    }

    async fn remove_dead(&self) -> Result<(), StoreError> {
        loop {
            let dead = self.store.uploads.dead_blobs(BATCH).await?;
            for blob in &dead {
                // The row stays until the content is gone, so that a crash forgets nothing.
                self.blobs.remove(blob).await?;
                self.store.uploads.forget_blob(blob).await?;
            }
            if dead.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    /// Ends what is under `incoming` and belongs to no upload under way.
    async fn clear_incoming(&self, older_than: Option<Duration>) -> Result<(), StoreError> {
        let incoming = self.incoming.clone();
        let left = in_background(move || leftovers(&incoming, older_than)).await?;
        for blob in left {
            if !self.store.uploads.has_blob(&blob).await? {
                self.blobs.remove(&blob).await?;
            }
            let file = self.incoming.join(&blob);
            in_background(move || std::fs::remove_file(file)).await?;
            tracing::info!(blob, "an upload that was cut off is cleared away");
        }
        Ok(())
    }
}

fn leftovers(incoming: &std::path::Path, older_than: Option<Duration>) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(incoming) {
        // Nothing was ever uploaded.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut left = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_old = match older_than {
            None => true,
            Some(age) => age_of(entry.metadata()?.modified()?) >= age,
        };
        if let (true, Ok(name)) = (is_old, entry.file_name().into_string()) {
            left.push(name);
        }
    }
    Ok(left)
}

/// The times of files are those of the machine.
#[expect(clippy::disallowed_methods, reason = "a file's time is compared, not one of ours")]
fn age_of(modified: SystemTime) -> Duration {
    SystemTime::now().duration_since(modified).unwrap_or_default()
}

fn bucket(s3: &config::S3) -> Result<Bucket, object_store::Error> {
    let store = AmazonS3Builder::new()
        .with_endpoint(&s3.endpoint)
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_access_key_id(&s3.access_key)
        .with_secret_access_key(&s3.secret_key)
        .with_allow_http(s3.endpoint.starts_with("http://"))
        .build()?;
    Ok(Bucket::new(Arc::new(store), &s3.prefix))
}

#[cfg(test)]
mod tests;
