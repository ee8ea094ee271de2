//! Where the content of files is kept: a folder, or a bucket that speaks S3.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::task::spawn_blocking;

/// Bytes that are read at a time.
const PIECE: u64 = 64 * 1024;
/// Bytes of one part of an upload to a bucket; S3 wants 5 MiB at least, and 10 000 parts at most.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once.
const PARTS: usize = 2;

/// Content in pieces.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// Blobs by name; names are ids of our own making.
#[async_trait]
pub(super) trait Blobs: Send + Sync {
    /// Takes the content of a file, which stays. On stable storage when it returns.
    async fn put(&self, blob: &str, file: &Path) -> io::Result<()>;

    /// The bytes of a range that lies within the blob.
    async fn read(&self, blob: &str, range: Range<u64>) -> io::Result<Pieces>;

    /// No error if there is none.
    async fn remove(&self, blob: &str) -> io::Result<()>;
}

/// A folder, with subfolders by the first letters of the names so that none gets too long.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Folder {
        Folder { root }
    }

    fn place(&self, blob: &str) -> PathBuf {
        let first: String = blob.chars().take(2).collect();
        self.root.join(first).join(blob)
    }
}

#[async_trait]
impl Blobs for Folder {
    async fn put(&self, blob: &str, file: &Path) -> io::Result<()> {
        let (place, file, root) = (self.place(blob), file.to_owned(), self.root.clone());
        in_background(move || {
            let folder = place.parent().unwrap_or(&root);
            if !folder.is_dir() {
                std::fs::create_dir_all(folder)?;
                sync_folder(&root)?;
            }
            match std::fs::hard_link(&file, &place) {
                // Some network file systems have no links.
                Err(error) if is_unsupported(&error) => copy(&file, &place)?,
                linked => linked?,
            }
            sync_folder(folder)
        })
        .await
    }

    async fn read(&self, blob: &str, range: Range<u64>) -> io::Result<Pieces> {
        let place = self.place(blob);
        let file = in_background(move || std::fs::File::open(place)).await?;
        let file = Arc::new(file);
        let pieces = stream::try_unfold((file, range), |(file, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let end = range.end.min(range.start + PIECE);
            let (reader, start) = (Arc::clone(&file), range.start);
            let piece = in_background(move || read_exactly(&reader, start..end)).await?;
            Ok(Some((piece, (file, end..range.end))))
        });
        Ok(pieces.boxed())
    }

    async fn remove(&self, blob: &str) -> io::Result<()> {
        let place = self.place(blob);
        in_background(move || match std::fs::remove_file(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .await
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::File::open(to)?.sync_all()
}

fn read_exactly(file: &std::fs::File, range: Range<u64>) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    // A piece fits.
    let mut piece = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
    file.read_exact_at(&mut piece, range.start)?;
    Ok(piece.into())
}

/// Makes names in a folder as durable as what they name.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Disks block; tasks must not.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A bucket.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
}

impl Bucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Bucket {
        Bucket { store, prefix: Key::from(prefix) }
    }

    fn key(&self, blob: &str) -> Key {
        self.prefix.clone().join(blob)
    }
}

#[async_trait]
impl Blobs for Bucket {
    async fn put(&self, blob: &str, file: &Path) -> io::Result<()> {
        let file = file.to_owned();
        let (file, length) = in_background(move || {
            let file = std::fs::File::open(file)?;
            let length = file.metadata()?.len();
            Ok((Arc::new(file), length))
        })
        .await?;
        let upload = self.store.put_multipart(&self.key(blob)).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut start = 0;
        while start < length {
            let end = length.min(start + PIECE);
            let reader = Arc::clone(&file);
            let piece = in_background(move || read_exactly(&reader, start..end)).await;
            let sent = match piece {
                Ok(piece) => match upload.wait_for_capacity(PARTS).await {
                    Ok(()) => {
                        upload.put(piece);
                        Ok(())
                    }
                    Err(error) => Err(io::Error::from(error)),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                // The parts would stay, unseen and paid for.
                let _ = upload.abort().await;
                return Err(error);
            }
            start = end;
        }
        upload.finish().await?;
        Ok(())
    }

    async fn read(&self, blob: &str, range: Range<u64>) -> io::Result<Pieces> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&self.key(blob), options).await?;
        Ok(found.into_stream().map(|piece| piece.map_err(io::Error::from)).boxed())
    }

    async fn remove(&self, blob: &str) -> io::Result<()> {
        match self.store.delete(&self.key(blob)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }
}
