//! Thousands who never log in, and send just enough to look alive (CVE-2026-43506 and its like).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::Witness;
use crate::client::PATIENCE;
use crate::database;
use crate::memory::Memory;
use crate::server::Server;

/// As many as the server lets in without a login.
const STRANGERS: u64 = 10_000;
/// What each may cost the server.
const KIB_EACH: u64 = 40;
const LOGIN_SECONDS: u64 = 20;
/// Descriptors of the test and of the server that are none of theirs.
const OTHER_FILES: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_strangers_who_drip_are_cut_off_in_time() {
    let count = allowed_files().saturating_sub(OTHER_FILES).min(STRANGERS);
    let config = format!("[limits]\nlogin_seconds = {LOGIN_SECONDS}\n");
    let server = Server::start(database::SQLITE, &["witness".to_owned()], &config).await;
    let witness = Witness::start(&server).await;
    let memory = Memory::watch(server.pid());
    let to = server.address("c2s");
    let began = Instant::now();
    let mut strangers = Vec::new();
    for number in 0..count {
        strangers.push(tokio::spawn(drip(connect(number, to).await)));
    }
    println!("{count} strangers after {:?}", began.elapsed());
    let mut told = 0;
    for stranger in strangers {
        let said = stranger.await.unwrap();
        told += u64::from(said.contains("<connection-timeout"));
    }
    // No traffic puts it off: the last one came within the time that connecting took.
    println!("all cut off after {:?}, {told} were told why", began.elapsed());
    let growth = memory.growth();
    println!("strangers who drip: {growth}");
    witness.served().await;
    assert!(growth.kib() < count * KIB_EACH, "{growth}");
    assert_eq!(told, count);
}

/// Each from one of many addresses, of which some have several.
async fn connect(number: u64, to: SocketAddr) -> TcpStream {
    let [.., high, low] = (number % 4_000 + 2).to_be_bytes();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 66, high, low), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Opens a stream, begins an element that it never ends, and sends a little again and again;
/// returns what the server had to say.
async fn drip(mut stream: TcpStream) -> String {
    let begin = "<stream:stream xmlns='jabber:client' version='1.0' to='localhost' \
        xmlns:stream='http://etherx.jabber.org/streams'><auth \
        xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>";
    let padding = "A".repeat(4_000);
    let mut said = Vec::new();
    let dripping = async {
        stream.write_all(format!("{begin}{padding}").as_bytes()).await?;
        let (mut reader, mut writer) = stream.split();
        let drops = async {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if writer.write_all(b"A").await.is_err() {
                    // The reader still has to hear why.
                    return std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            read = reader.read_to_end(&mut said) => read.map(drop),
            () = drops => Ok(()),
        }
    };
    // Thousands share what a busy machine has left.
    let ended = tokio::time::timeout(5 * PATIENCE, dripping).await;
    ended.expect("the server ends it").ok();
    String::from_utf8_lossy(&said).into_owned()
}

/// Raises the limit of this process, which the server inherits, as far as it may.
fn allowed_files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(u64::MAX).min(STRANGERS + OTHER_FILES);
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if current < wanted {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
    }
    current.max(wanted)
}
