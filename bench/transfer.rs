//! Files: a slot by XMPP (XEP-0363), then HTTP/1.1 over TLS.

use std::{cell::Cell, net::Ipv4Addr, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Account, Client},
    pairs::DRAIN,
    peer::Peer,
    process::Process,
    scanner::{attr, text},
};

pub(crate) const MIB: u64 = 1024 * 1024;

/// What is written or read at once.
const PIECE: usize = 256 * 1024;

/// A transfer of the largest file may take this long.
const LIMIT: Duration = Duration::from_secs(90);

/// Where a file goes and from where it comes.
struct Slot {
    put: Url,
    get: Url,
    /// Lines of the PUT request's header.
    headers: String,
}

struct Url {
    authority: String,
    port: u16,
    path: String,
}

/// A file of which no two parts are alike, and no two with different seeds.
#[derive(Clone, Copy)]
pub(crate) struct File {
    pub(crate) bytes: u64,
    pub(crate) seed: u64,
}

pub(crate) struct Transfers {
    peer: Peer,
    client: Client,
}

impl Transfers {
    pub(crate) async fn open(client: &Client, account: &Account) -> Result<Self> {
        Ok(Self { peer: Peer::open(client, account, "files").await?, client: client.clone() })
    }

    /// Uploads the files, `at_once` at a time; returns the addresses to get them from.
    pub(crate) async fn upload(&mut self, files: &[File], at_once: usize) -> Result<Vec<Address>> {
        let mut tasks = JoinSet::new();
        let mut got = Vec::new();
        let mut waiting = files.iter();
        loop {
            while tasks.len() < at_once
                && let Some(file) = waiting.next()
            {
                let (client, slot) = (self.client.clone(), self.slot(file.bytes).await?);
                tasks.spawn_local(timeout(LIMIT, put(client, slot, *file)));
            }
            match tasks.join_next().await {
                Some(done) => got.push(done???),
                None => return Ok(got),
            }
        }
    }

    /// Gets a file and compares its size.
    pub(crate) async fn download(&self, from: &Address) -> Result<()> {
        timeout(LIMIT, get(&self.client, from)).await?
    }

    pub(crate) async fn close(mut self) -> Result<()> {
        self.peer.close().await
    }

    async fn slot(&mut self, bytes: u64) -> Result<Slot> {
        let request = format!(
            "<iq type='get' id='slot' to='upload.{}'><request xmlns='urn:xmpp:http:upload:0' \
             filename='file.bin' size='{bytes}' content-type='application/octet-stream'/></iq>",
            self.client.domain()
        );
        self.peer.send(request.as_bytes(), 1).await?;
        let mut slot = None;
        while slot.is_none() {
            let take = |stanza: &[u8]| {
                if attr(stanza, "id") == Some(b"slot") {
                    slot = Some(Slot::parse(stanza)?);
                }
                Ok(())
            };
            timeout(DRAIN, self.peer.turn(take)).await??;
        }
        slot.context("no slot")
    }
}

/// A file that is there.
pub(crate) struct Address {
    url: Url,
    bytes: u64,
}

impl Slot {
    fn parse(stanza: &[u8]) -> Result<Self> {
        let url = |name: &str| {
            let at = memchr::memmem::find(stanza, format!("<{name} ").as_bytes());
            let url = attr(&stanza[at?..], "url")?;
            std::str::from_utf8(url).ok().map(|url| url.replace("&amp;", "&"))
        };
        let refused = || format!("no slot: {}", String::from_utf8_lossy(stanza));
        let (put, get) = (url("put").with_context(refused)?, url("get").with_context(refused)?);
        let mut headers = String::new();
        let mut rest = stanza;
        while let Some(at) = memchr::memmem::find(rest, b"<header ") {
            rest = &rest[at..];
            let name = attr(rest, "name").context("a header without a name")?;
            let value = text(rest, "header").unwrap_or_default();
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            headers += &format!("{name}: {value}\r\n");
            rest = &rest[1..];
        }
        Ok(Self { put: Url::parse(&put)?, get: Url::parse(&get)?, headers })
    }
}

impl Url {
    fn parse(url: &str) -> Result<Self> {
        let parts = url.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
        let (authority, path) = parts.with_context(|| format!("not an https address: {url}"))?;
        let port = authority.rsplit_once(':').map_or(Ok(443), |(_, port)| port.parse())?;
        Ok(Self { authority: authority.to_owned(), port, path: format!("/{path}") })
    }
}

async fn connect(client: &Client, url: &Url) -> Result<impl AsyncRead + AsyncWrite + Unpin> {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, url.port)).await?;
    tcp.set_nodelay(true)?;
    client.secure_stream(tcp).await
}

async fn put(client: Client, slot: Slot, file: File) -> Result<Address> {
    let mut stream = connect(&client, &slot.put).await?;
    let header = format!(
        "PUT {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\nConnection: close\r\n{}\r\n",
        slot.put.path, slot.put.authority, file.bytes, slot.headers
    );
    stream.write_all(header.as_bytes()).await?;
    let mut piece = noise(file.seed);
    let mut left = file.bytes;
    while left > 0 {
        // Each piece differs from the others in its first bytes.
        piece[..8].copy_from_slice(&left.to_le_bytes());
        let now = left.min(PIECE as u64);
        stream.write_all(&piece[..now as usize]).await?;
        left -= now;
    }
    stream.flush().await?;
    let (status, ..) = head(&mut stream).await?;
    ensure!((200..300).contains(&status), "upload: HTTP status {status}");
    Ok(Address { url: slot.get, bytes: file.bytes })
}

async fn get(client: &Client, from: &Address) -> Result<()> {
    let mut stream = connect(client, &from.url).await?;
    let header = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        from.url.path, from.url.authority
    );
    stream.write_all(header.as_bytes()).await?;
    stream.flush().await?;
    let (status, length, mut got) = head(&mut stream).await?;
    ensure!(status == 200, "download: HTTP status {status}");
    ensure!(length.is_none_or(|length| length == from.bytes), "a file of {length:?} bytes");
    let mut piece = vec![0; PIECE];
    while got < from.bytes {
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "{got} of {} bytes came", from.bytes);
        got += read as u64;
    }
    Ok(())
}

/// Status and length that a response's head tells, and how much of the body came with it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<(u16, Option<u64>, u64)> {
    const LONGEST: usize = 64 * 1024;
    let mut bytes = Vec::new();
    loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection ended before an answer");
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            let length = text.lines().find_map(|l| l.strip_prefix("content-length:"));
            let length = length.and_then(|length| length.trim().parse().ok());
            let body = (bytes.len() - end - 4) as u64;
            return Ok((status.context("an answer without status")?, length, body));
        }
        if bytes.len() > LONGEST {
            bail!("an answer without end");
        }
    }
}

/// Bytes that do not repeat.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = (0..PIECE / 8).flat_map(|_| {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// Looks at a server's memory until it is dropped.
pub(crate) struct Watch {
    highest: Rc<Cell<u64>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(process: Process) -> Self {
        const EVERY: Duration = Duration::from_millis(50);
        let highest = Rc::new(Cell::new(0));
        let seen = Rc::clone(&highest);
        let task = tokio::task::spawn_local(async move {
            while let Ok(memory) = process.memory() {
                seen.set(memory.rss_kib.max(seen.get()));
                sleep(EVERY).await;
            }
        });
        Self { highest, task }
    }

    /// The highest resident set in KiB.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long something took, with what it returned.
pub(crate) async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
    let begin = Instant::now();
    let done = work.await?;
    Ok((done, begin.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_slot() {
        let slot = Slot::parse(
            b"<iq id='slot' type='result'><slot xmlns='urn:xmpp:http:upload:0'>\
              <put url='https://localhost:8443/u/1?a=1&amp;b=2'><header name='Authorization'>Bearer x</header>\
              <header name='Cookie'>y</header></put><get url='https://localhost/u/1'/></slot></iq>",
        )
        .unwrap();
        assert_eq!((slot.put.port, slot.put.path.as_str()), (8443, "/u/1?a=1&b=2"));
        assert_eq!((slot.get.port, slot.get.authority.as_str()), (443, "localhost"));
        assert_eq!(slot.headers, "Authorization: Bearer x\r\nCookie: y\r\n");
        assert!(Slot::parse(b"<iq id='slot' type='error'/>").is_err());
    }

    #[tokio::test]
    async fn reads_the_head_of_an_answer() {
        let mut answer = &b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\nbody"[..];
        assert_eq!(head(&mut answer).await.unwrap(), (201, Some(12), 4));
        assert!(head(&mut &b"HTTP/1.1 201"[..]).await.is_err());
    }

    #[test]
    fn files_of_different_seeds_differ() {
        assert_ne!(noise(3)[8..], noise(5)[8..]);
        assert_eq!(noise(3).len(), PIECE);
    }
}
