//! A file on its way in.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use thiserror::Error;
use wello_store::{Commit, FileHash, StoreError, Upload};

use super::blobs::{in_background, sync_folder};
use super::{Files, UNKNOWN_TYPE, essence};
use crate::clock::random_id;

/// Bytes that are collected before they are written: what one upload takes of memory.
const PIECE: usize = 256 * 1024;

/// Why an upload was not taken.
#[derive(Debug, Error)]
pub enum ReceiveError {
    #[error("there is no such slot")]
    Unknown,
    #[error("the slot has expired")]
    Expired,
    #[error("the slot is used, or in use")]
    Used,
    #[error("the slot is for {0} bytes")]
    Length(u64),
    #[error("the slot is for another media type")]
    MediaType,
    #[error("the disk is full")]
    DiskFull,
    #[error("file: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for ReceiveError {
    fn from(error: io::Error) -> ReceiveError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => ReceiveError::DiskFull,
            _ => ReceiveError::Io(error),
        }
    }
}

impl Files {
    /// Begins an upload of `length` bytes into the slot.
    pub async fn receive(
        &self,
        token: &str,
        name: &str,
        length: u64,
        media_type: Option<&str>,
    ) -> Result<Arrival<'_>, ReceiveError> {
        // Before the look at the slot, so that nobody can use it in between.
        let claim = Claim::new(&self.arriving, token).ok_or(ReceiveError::Used)?;
        let slot = self.store.uploads.find(token).await?.filter(|slot| slot.name == name);
        let slot = slot.ok_or(ReceiveError::Unknown)?;
        admit(&slot, self.clock.now(), length, media_type)?;
        let (blob, incoming) = (random_id(), self.incoming.clone());
        let path = incoming.join(&blob);
        let created = path.clone();
        let file = in_background(move || {
            create_folder(&incoming)?;
            File::create_new(created)
        })
        .await?;
        let media_type = slot.media_type.clone().or_else(|| media_type.map(str::to_owned));
        Ok(Arrival {
            files: self,
            media_type: media_type.unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
            slot,
            blob,
            received: 0,
            buffer: BytesMut::new(),
            sink: Some(Sink { file, hash: Context::new(&SHA256) }),
            temporary: Temporary { path, keep: false },
            _claim: claim,
        })
    }
}

/// XEP-0363, section 7.
fn admit(
    slot: &Upload,
    now: wello_store::Timestamp,
    length: u64,
    media_type: Option<&str>,
) -> Result<(), ReceiveError> {
    if slot.stored.is_some() {
        return Err(ReceiveError::Used);
    }
    if slot.slot_expires <= now {
        return Err(ReceiveError::Expired);
    }
    if length != slot.size {
        return Err(ReceiveError::Length(slot.size));
    }
    // Parameters may differ: browsers add a charset. A client that says nothing means the slot's.
    let same = |given: &str, asked: &str| essence(given).eq_ignore_ascii_case(essence(asked));
    match (media_type, slot.media_type.as_deref()) {
        (Some(given), Some(asked)) if !same(given, asked) => Err(ReceiveError::MediaType),
        _ => Ok(()),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// An upload that has begun. Dropped before its end it leaves nothing behind.
pub struct Arrival<'a> {
    files: &'a Files,
    slot: Upload,
    media_type: String,
    blob: String,
    received: u64,
    buffer: BytesMut,
    /// Away while it writes.
    sink: Option<Sink>,
    temporary: Temporary,
    _claim: Claim,
}

struct Sink {
    file: File,
    /// Of the TLS library: processors without instructions for it take half of the time that way.
    hash: Context,
}

impl Arrival<'_> {
    /// Takes the next bytes. After an error the upload is over.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ReceiveError> {
        self.received += bytes.len() as u64;
        if self.received > self.slot.size {
            return Err(ReceiveError::Length(self.slot.size));
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ReceiveError> {
        let piece = self.buffer.split();
        let mut sink = self.sink.take().ok_or(ReceiveError::Used)?;
        let written = in_background(move || {
            sink.file.write_all(&piece)?;
            sink.hash.update(&piece);
            Ok((sink, piece))
        });
        let (sink, mut piece) = written.await?;
        piece.clear();
        self.buffer = piece;
        self.sink = Some(sink);
        Ok(())
    }

    /// Makes the file visible. When it returns, the file is on stable storage.
    pub async fn finish(mut self) -> Result<Upload, ReceiveError> {
        if self.received != self.slot.size {
            return Err(ReceiveError::Length(self.slot.size));
        }
        self.flush().await?;
        let Sink { file, hash } = self.sink.take().ok_or(ReceiveError::Used)?;
        let mut sum = [0; 32];
        // SHA-256 has as many bytes.
        sum.copy_from_slice(hash.finish().as_ref());
        let hash = FileHash(sum);
        let incoming = self.files.incoming.clone();
        in_background(move || {
            file.sync_all()?;
            sync_folder(&incoming)
        })
        .await?;
        match self.commit(&hash).await? {
            Commit::Stored | Commit::Shared => {}
            Commit::NotInPlace | Commit::Refused => return Err(ReceiveError::Used),
        }
        let stored = self.files.store.uploads.find(&self.slot.token).await?;
        stored.ok_or(ReceiveError::Unknown)
    }

    async fn commit(&mut self, hash: &FileHash) -> Result<Commit, ReceiveError> {
        let Files { store, blobs, clock, .. } = self.files;
        let (token, now) = (&self.slot.token, clock.now());
        // Most files that come a second time need not be put anywhere.
        let shared = store.uploads.commit(token, &self.media_type, hash, now, None).await?;
        if shared != Commit::NotInPlace {
            return Ok(shared);
        }
        // From here on the file under `incoming` tells a later look what was under way: the client
        // may go away, so that this is dropped at an await; a commit that failed may have happened.
        self.temporary.keep = true;
        let put = blobs.put(&self.blob, &self.temporary.path).await;
        let outcome = match &put {
            Ok(()) => {
                let blob = Some(self.blob.as_str());
                store.uploads.commit(token, &self.media_type, hash, now, blob).await?
            }
            Err(_) => Commit::NotInPlace,
        };
        if outcome != Commit::Stored {
            blobs.remove(&self.blob).await?;
        }
        self.temporary.keep = false;
        put?;
        Ok(outcome)
    }
}

/// Removes the file when the upload ends.
struct Temporary {
    path: PathBuf,
    keep: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "an incoming file is left behind");
        }
    }
}

/// Of two uploads into one slot only one gets in.
struct Claim {
    arriving: Arc<Mutex<HashSet<String>>>,
    token: String,
}

impl Claim {
    fn new(arriving: &Arc<Mutex<HashSet<String>>>, token: &str) -> Option<Claim> {
        let claimed = arriving.lock().insert(token.to_owned());
        claimed.then(|| Claim { arriving: Arc::clone(arriving), token: token.to_owned() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.arriving.lock().remove(&self.token);
    }
}
