//! Files that were acknowledged survive SIGKILL at any moment, and others leave nothing (XEP-0363).

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, Gone, attribute};
use crate::database;
use crate::memory::Memory;
use crate::random::Random;
use crate::server::Server;

const ROUNDS: u64 = 4;
const UPLOADERS: u64 = 4;
/// Large enough that an upload takes several writes.
const MOST_BYTES: u64 = 2 * 1024 * 1024;
/// A round ends within this many acknowledged files.
const MOST_ACKNOWLEDGED: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_files_survive_a_kill_on_sqlite() {
    acknowledged_files_survive_a_kill(database::SQLITE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_files_survive_a_kill_on_postgresql() {
    if let Some(url) = database::postgres().await {
        acknowledged_files_survive_a_kill(&url).await;
    }
}

async fn acknowledged_files_survive_a_kill(storage: &str) {
    let mut random = Random::seeded();
    let accounts: Vec<_> = (0..UPLOADERS).map(|n| format!("u{n}")).collect();
    let mut server = Server::start(storage, &accounts, "").await;
    // Where a file is, and its hash.
    let mut acknowledged: HashMap<String, Vec<u8>> = HashMap::new();
    for round in 0..ROUNDS {
        let (done, mut results) = tokio::sync::mpsc::channel(1000);
        let mut tasks = tokio::task::JoinSet::new();
        for account in &accounts {
            let seed = random.below(u64::MAX);
            let client = Client::login(&server, account, "phone").await.unwrap();
            let (address, done) = (server.address("http"), done.clone());
            tasks.spawn(async move {
                let uploader = Uploader { client, address, random: Random::from(seed) };
                // Ends when the connection breaks.
                let _: Result<(), Gone> = uploader.upload_until_the_end(&done).await;
            });
        }
        drop(done);
        let enough = 1 + random.below(MOST_ACKNOWLEDGED);
        for _ in 0..enough {
            acknowledged.extend(results.recv().await);
        }
        server.kill().await;
        while tasks.join_next().await.is_some() {}
        while let Some(result) = results.recv().await {
            acknowledged.extend([result]);
        }
        server.launch().await;
        assert_eq!(files_in(&server.data().join("uploads/incoming")), 0, "round {round}");
    }
    let mut contents: Vec<_> = acknowledged.values().collect();
    contents.sort();
    contents.dedup();
    println!("{} files were acknowledged, {} different ones", acknowledged.len(), contents.len());
    for (path, hash) in &acknowledged {
        let (head, body) = get(server.address("http"), path).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert_eq!(Sha256::digest(&body).as_slice(), hash.as_slice(), "{path}");
    }
    // One that was committed and not answered in time may be there, of each uploader and round.
    let on_disk = files_in(&server.data().join("uploads/files"));
    let most = contents.len() + (ROUNDS * UPLOADERS) as usize;
    assert!((contents.len()..=most).contains(&on_disk), "{on_disk} files on the disk");
}

/// Where the test may mount a file system of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_files_and_harms_nothing_else() {
    let server = Server::start(database::SQLITE, &["romeo".to_owned()], "").await;
    let Some(_disk) = Disk::mount(&server.data().join("uploads"), "3m") else {
        return println!("nothing can be mounted here: not tested on a full disk");
    };
    let mut client = Client::login(&server, "romeo", "phone").await.unwrap();
    let large = vec![b'x'; 7 * 512 * 1024];
    let refused = slot(&mut client, large.len() as u64).await.unwrap();
    assert_eq!(put(server.address("http"), &refused, &large).await.unwrap(), 507);
    assert_eq!(files_in(&server.data().join("uploads")), 0);
    let (head, _) = get(server.address("http"), &refused).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    // There is room for a small one.
    let path = slot(&mut client, 1000).await.unwrap();
    assert_eq!(put(server.address("http"), &path, &large[..1000]).await.unwrap(), 201);
    let (_, body) = get(server.address("http"), &path).await.unwrap();
    assert_eq!(body.len(), 1000);
}

/// A file system in memory, gone when it is dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(place: &Path, size: &str) -> Option<Disk> {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(place);
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Disk(place.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// On the server that scripts/with-s3 starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_a_bucket_are_kept_once_and_survive_a_kill() {
    let Ok(endpoint) = std::env::var("S3_TEST_ENDPOINT") else {
        return println!("no S3 server here: not tested on it");
    };
    let bucket = format!(
        "[uploads.s3]\nendpoint = {endpoint:?}\nbucket = \"files\"\naccess_key = \"a\"\nsecret_key = \"b\"\n"
    );
    let mut server = Server::start(database::SQLITE, &["romeo".to_owned()], &bucket).await;
    let mut client = Client::login(&server, "romeo", "phone").await.unwrap();
    // Several parts, and not a multiple of their size.
    let content: Vec<u8> = (0..17 * 1024 * 1024 + 5u32).map(|n| (n % 251) as u8).collect();
    let mut paths = Vec::new();
    for _ in 0..2 {
        let path = slot(&mut client, content.len() as u64).await.unwrap();
        assert_eq!(put(server.address("http"), &path, &content).await.unwrap(), 201);
        paths.push(path);
    }
    server.kill().await;
    server.launch().await;
    for path in &paths {
        let (head, body) = get(server.address("http"), path).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(body == content);
    }
    let keys = keys_in_bucket(&endpoint).await;
    assert_eq!(keys, 1);
    assert_eq!(files_in(&server.data().join("uploads")), 0);
    server.delete("romeo").await;
    assert_eq!(keys_in_bucket(&endpoint).await, 0);
}

async fn keys_in_bucket(endpoint: &str) -> usize {
    let address = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let (_, listing) = get(address, "/files?list-type=2").await.unwrap();
    String::from_utf8_lossy(&listing).matches("<Key>").count()
}

struct Uploader {
    client: Client,
    address: std::net::SocketAddr,
    random: Random,
}

impl Uploader {
    async fn upload_until_the_end(
        mut self,
        done: &tokio::sync::mpsc::Sender<(String, Vec<u8>)>,
    ) -> Result<(), Gone> {
        loop {
            // Small ones repeat, so that some share their content.
            let size = match self.random.below(3) {
                0 => 1 + self.random.below(3),
                _ => 1 + self.random.below(MOST_BYTES),
            };
            let content = vec![b'x'; size as usize];
            let path = slot(&mut self.client, size).await?;
            let status = put(self.address, &path, &content).await?;
            assert_eq!(status, 201, "{path}");
            let hash = Sha256::digest(&content).to_vec();
            if done.send((path, hash)).await.is_err() {
                return Err(Gone);
            }
        }
    }
}

/// Asks for a slot; returns its path.
async fn slot(client: &mut Client, size: u64) -> Result<String, Gone> {
    let request = format!(
        "<iq type='get' id='slot' to='upload.localhost'><request \
         xmlns='urn:xmpp:http:upload:0' filename='a.bin' size='{size}'/></iq>"
    );
    client.send(&request).await?;
    let answer = client.find("<iq").await?;
    let url = attribute(&answer, "url").unwrap_or_else(|| panic!("{answer}"));
    let (_, rest) = url.split_once("://").unwrap();
    Ok(rest[rest.find('/').unwrap()..].to_owned())
}

async fn put(address: std::net::SocketAddr, path: &str, content: &[u8]) -> Result<u16, Gone> {
    let mut stream = TcpStream::connect(address).await.map_err(|_| Gone)?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(|_| Gone)?;
    stream.write_all(content).await.map_err(|_| Gone)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|_| Gone)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(Gone)
}

async fn get(address: std::net::SocketAddr, path: &str) -> Result<(String, Vec<u8>), Gone> {
    let mut stream = TcpStream::connect(address).await.map_err(|_| Gone)?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|_| Gone)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|_| Gone)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Gone)?;
    let body = answer.split_off(end + 4);
    Ok((String::from_utf8_lossy(&answer).into_owned(), body))
}

fn files_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { files_in(&path) } else { 1 }).sum()
}

/// Bytes of a large file, and what it may take of memory, in KiB.
const LARGE: u64 = 100 * 1024 * 1024;
const MOST_KIB: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_through_little_memory() {
    // UPLOAD_BYTES measures with another size.
    let large = std::env::var("UPLOAD_BYTES").ok().and_then(|text| text.parse().ok());
    let large: u64 = large.unwrap_or(LARGE);
    let limits = format!("[uploads]\nmax_bytes = {large}\nday_bytes = {large}\n");
    let server = Server::start(database::SQLITE, &["romeo".to_owned()], &limits).await;
    let mut client = Client::login(&server, "romeo", "phone").await.unwrap();
    let path = slot(&mut client, large).await.unwrap();
    let memory = Memory::watch(server.pid());
    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {large}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1024 * 1024];
    let mut left = large;
    while left > 0 {
        let part = &piece[..left.min(piece.len() as u64) as usize];
        stream.write_all(part).await.unwrap();
        left -= part.len() as u64;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    println!("{large} bytes up: {}", memory.growth());

    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut buffer, mut received) = (vec![0; 256 * 1024], 0);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => received += count as u64,
        }
    }
    assert!((large..large + 4096).contains(&received), "{received}");
    let growth = memory.growth();
    println!("{large} bytes up and down: {growth}");
    assert!(growth.kib() < MOST_KIB, "{growth}");
}
