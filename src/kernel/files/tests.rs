//! The service on a real database and a real folder.

use futures_util::TryStreamExt as _;
use object_store::memory::InMemory;
use tempfile::TempDir;
use wello_store::{Options, Store};

use super::*;

struct Fixture {
    dir: TempDir,
    files: Files,
}

impl Fixture {
    async fn new(more: &str) -> Fixture {
        let dir = TempDir::new().unwrap();
        let text = format!("data_dir = {:?}\n[uploads]\n{more}", dir.path());
        let config = config::Config::parse(&text, []).unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        Fixture { files: Files::open(&config, &store, clock).unwrap(), dir }
    }

    /// With its content in a bucket.
    async fn in_bucket() -> (Fixture, Arc<InMemory>) {
        let memory = Arc::new(InMemory::new());
        let mut fixture = Fixture::new("").await;
        fixture.files.blobs = Arc::new(Bucket::new(Arc::clone(&memory) as _, "a/b/"));
        (fixture, memory)
    }

    async fn slot(&self, name: &str, size: u64) -> Upload {
        let account = "romeo@montague.example".parse().unwrap();
        let wish = Wish {
            account: &account,
            name,
            media_type: None,
            size,
            purpose: UploadPurpose::Message,
            gone_by: None,
        };
        self.files.reserve(wish).await.unwrap()
    }

    async fn put(&self, name: &str, content: &[u8]) -> Upload {
        let slot = self.slot(name, content.len() as u64).await;
        let mut arrival = self.receive(&slot).await.unwrap();
        for piece in content.chunks(100_000) {
            arrival.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        arrival.finish().await.unwrap()
    }

    async fn receive(&self, slot: &Upload) -> Result<Arrival<'_>, ReceiveError> {
        self.files.receive(&slot.token, &slot.name, slot.size, None).await
    }

    async fn read(&self, upload: &Upload, range: Range<u64>) -> Vec<u8> {
        let pieces = self.files.read(upload.content.as_ref().unwrap(), range).await.unwrap();
        let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
        pieces.concat()
    }

    /// Files below a folder of the uploads.
    fn on_disk(&self, folder: &str) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
            let paths = entries.map(|entry| entry.unwrap().path());
            paths.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.dir.path().join("uploads").join(folder))
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 7 % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_goes_in_and_comes_out_in_pieces() {
    for fixture in [Fixture::new("").await, Fixture::in_bucket().await.0] {
        let given = content(700_000);
        let upload = fixture.put("a.bin", &given).await;
        assert_eq!(upload.media_type.as_deref(), Some(UNKNOWN_TYPE));
        assert!(fixture.files.find(&upload.token, "a.bin").await.unwrap().is_some());
        assert!(fixture.files.find(&upload.token, "b.bin").await.unwrap().is_none());
        assert_eq!(fixture.read(&upload, 0..700_000).await, given);
        assert_eq!(fixture.read(&upload, 65_535..65_537).await, given[65_535..65_537]);
        assert_eq!(fixture.on_disk("incoming"), 0);
    }
}

#[tokio::test]
async fn large_files_reach_a_bucket_in_parts() {
    let (fixture, _) = Fixture::in_bucket().await;
    let given = content(17 * 1024 * 1024);
    let upload = fixture.put("a.bin", &given).await;
    assert_eq!(fixture.read(&upload, 0..upload.size).await, given);
}

#[tokio::test]
async fn the_same_content_is_kept_once_until_nobody_has_it() {
    let fixture = Fixture::new("keep_days = 1").await;
    let first = fixture.put("a", b"content").await;
    fixture.files.clock.advance(60_000_000);
    let second = fixture.put("b", b"content").await;
    assert_eq!(first.content, second.content);
    assert_eq!((fixture.on_disk("files"), fixture.on_disk("incoming")), (1, 0));
    fixture.files.clock.advance(24 * 3600 * 1_000_000 - 30_000_000);
    fixture.files.expire().await.unwrap();
    assert!(fixture.files.find(&first.token, "a").await.unwrap().is_none());
    assert_eq!(fixture.read(&second, 0..7).await, b"content");
    fixture.files.clock.advance(60_000_000);
    // Not even before the chore has run.
    assert!(fixture.files.find(&second.token, "b").await.unwrap().is_none());
    fixture.files.expire().await.unwrap();
    assert_eq!(fixture.on_disk("files"), 0);
}

#[tokio::test]
async fn a_slot_takes_one_upload_of_its_size_in_its_time() {
    let fixture = Fixture::new("").await;
    let slot = fixture.slot("a", 3).await;
    let wrong = fixture.files.receive(&slot.token, "a", 4, None).await;
    assert!(matches!(wrong, Err(ReceiveError::Length(3))));
    let wrong = fixture.files.receive(&slot.token, "b", 3, None).await;
    assert!(matches!(wrong, Err(ReceiveError::Unknown)));
    let mut arrival = fixture.receive(&slot).await.unwrap();
    assert!(matches!(fixture.receive(&slot).await, Err(ReceiveError::Used)));
    arrival.write(Bytes::from_static(b"ab")).await.unwrap();
    assert!(matches!(arrival.finish().await, Err(ReceiveError::Length(3))));
    let mut arrival = fixture.receive(&slot).await.unwrap();
    let too_much = arrival.write(Bytes::from_static(b"abcd")).await;
    assert!(matches!(too_much, Err(ReceiveError::Length(3))));
    drop(arrival);
    assert_eq!((fixture.on_disk("files"), fixture.on_disk("incoming")), (0, 0));
    let mut arrival = fixture.receive(&slot).await.unwrap();
    arrival.write(Bytes::from_static(b"abc")).await.unwrap();
    arrival.finish().await.unwrap();
    assert!(matches!(fixture.receive(&slot).await, Err(ReceiveError::Used)));
    let late = fixture.slot("c", 3).await;
    fixture.files.clock.advance(SLOT_MICROS);
    assert!(matches!(fixture.receive(&late).await, Err(ReceiveError::Expired)));
}

#[tokio::test]
async fn what_a_crash_leaves_is_cleared_away_and_nothing_else() {
    let fixture = Fixture::new("").await;
    let incoming = fixture.files.incoming.clone();
    let kept = fixture.put("a", b"kept").await;
    let blob = kept.content.as_ref().unwrap().blob.clone();
    // Killed after the commit, before the file under `incoming` went.
    std::fs::write(incoming.join(&blob), b"kept").unwrap();
    // Killed in the midst of the upload.
    std::fs::write(incoming.join("half"), b"ha").unwrap();
    // Killed between putting it in place and the commit.
    std::fs::write(incoming.join("whole"), b"whole").unwrap();
    fixture.files.blobs.put("whole", &incoming.join("whole")).await.unwrap();
    assert_eq!((fixture.on_disk("files"), fixture.on_disk("incoming")), (2, 3));
    // These may be uploads that are under way.
    fixture.files.expire().await.unwrap();
    assert_eq!((fixture.on_disk("files"), fixture.on_disk("incoming")), (2, 3));
    fixture.files.recover().await.unwrap();
    assert_eq!((fixture.on_disk("files"), fixture.on_disk("incoming")), (1, 0));
    assert_eq!(fixture.read(&kept, 0..4).await, b"kept");
}

#[tokio::test]
async fn the_files_of_an_account_go_with_it() {
    let (fixture, memory) = Fixture::in_bucket().await;
    fixture.put("a", b"content").await;
    fixture.files.forget_account(&"romeo@montague.example".parse().unwrap()).await.unwrap();
    let left: Vec<_> = object_store::ObjectStore::list(&*memory, None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn limits_are_told() {
    let fixture = Fixture::new("max_bytes = 100\nday_bytes = 50\nprofile_bytes = 10").await;
    let account = "romeo@montague.example".parse().unwrap();
    let refusal = async |size, purpose| {
        let wish =
            Wish { account: &account, name: "a", media_type: None, size, purpose, gone_by: None };
        fixture.files.reserve(wish).await.err().map(|error| error.to_string())
    };
    assert_eq!(refusal(51, UploadPurpose::Message).await.unwrap(), "a file may have 50 bytes");
    assert_eq!(refusal(11, UploadPurpose::Profile).await.unwrap(), "a file may have 10 bytes");
    assert_eq!(refusal(50, UploadPurpose::Message).await, None);
    assert!(refusal(1, UploadPurpose::Message).await.unwrap().contains("day"));
}
