//! One peer that sends something without end, on every transport, before and after login.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Witness;
use crate::client::{Client, PATIENCE};
use crate::database;
use crate::memory::Memory;
use crate::server::Server;

const GIGABYTE: u64 = 1_000_000_000;
/// More than any limit on a single stanza, far less than what is sent.
const MOST_KIB: u64 = 16 * 1024;

const HEADER: &str = "<stream:stream xmlns='jabber:client' version='1.0' to='localhost' \
    xmlns:stream='http://etherx.jabber.org/streams'";

/// Something that is sent: how it begins, and what is repeated.
struct Flood {
    name: &'static str,
    begin: String,
    again: fn(u64) -> String,
    times: u64,
    /// What the server answers with.
    answer: &'static str,
}

fn flood(name: &'static str, begin: &str, again: fn(u64) -> String, times: u64) -> Flood {
    Flood { name, begin: begin.to_owned(), again, times, answer: "<policy-violation" }
}

fn kilobyte(_: u64) -> String {
    "x".repeat(1000)
}

/// What fits into a stream that is open.
fn of_stanzas() -> Vec<Flood> {
    let attribute = |number| format!(" a{number}=''");
    let namespace = |number| format!(" xmlns:n{number}='u'");
    let (thousands, begin) = (GIGABYTE / 1000, "<message><body>");
    vec![
        flood("a text of 1 GB", begin, kilobyte, thousands),
        flood("a tag of 1 GB", "<message a='", kilobyte, thousands),
        flood("a name of 1 GB", "<message><", kilobyte, thousands),
        flood("1 000 000 attributes", "<message", attribute, 1_000_000),
        flood("1 000 000 namespaces", "<message", namespace, 1_000_000),
        flood("a depth of 100 000", "<message>", |_| "<a>".to_owned(), 100_000),
        flood("1 000 000 elements", "<message>", |_| "<a/>".to_owned(), 1_000_000),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_cut_off_before_they_cost_memory() {
    let accounts = ["witness", "mallory"].map(str::to_owned);
    let server = Server::start(database::SQLITE, &accounts, "").await;
    let witness = Witness::start(&server).await;
    let header = |rest: &str| format!("{HEADER}{rest}");
    let mut strange = vec![
        flood("a stream tag of 1 GB", &header(" a='"), kilobyte, GIGABYTE / 1000),
        flood(
            "1 000 000 attributes of the stream",
            &header(""),
            |n| format!(" a{n}=''"),
            1_000_000,
        ),
    ];
    for mut one in of_stanzas() {
        one.begin = header(&format!(">{}", one.begin.replace("message", "auth")));
        strange.push(one);
    }
    for one in &strange {
        let stream = TcpStream::connect(server.address("c2s")).await.unwrap();
        attack(&server, "stranger", one, stream).await;
    }
    for one in &of_stanzas() {
        let client = Client::login(&server, "mallory", "phone").await.unwrap();
        attack(&server, "user", one, client.io).await;
    }
    let upgrade = "GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\
        Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let web = Flood {
        answer: "101 Switching",
        ..flood("a frame of 1 GB", upgrade, kilobyte, GIGABYTE / 1000)
    };
    let stream = TcpStream::connect(server.address("http")).await.unwrap();
    attack_with(&server, "WebSocket", &web, stream, &frame_of_a_gigabyte()).await;
    let post = format!(
        "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
         Content-Length: {GIGABYTE}\r\n\r\n<body xmlns='http://jabber.org/protocol/httpbind'>"
    );
    let bosh = Flood {
        answer: "condition='policy-violation'",
        ..flood("a request of 1 GB", &post, kilobyte, GIGABYTE / 1000)
    };
    let stream = TcpStream::connect(server.address("http")).await.unwrap();
    attack(&server, "BOSH", &bosh, stream).await;
    witness.served().await;
}

/// RFC 6455, section 5.2: a final text frame with a length of 64 bits and a mask of zeros.
fn frame_of_a_gigabyte() -> Vec<u8> {
    let mut head = vec![0x81, 0xff];
    head.extend(GIGABYTE.to_be_bytes());
    head.extend([0; 4]);
    head
}

async fn attack<Io>(server: &Server, who: &str, flood: &Flood, stream: Io)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    attack_with(server, who, flood, stream, &[]).await;
}

/// Sends the flood until it is all sent or the server has had enough.
async fn attack_with<Io>(server: &Server, who: &str, flood: &Flood, stream: Io, then: &[u8])
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    const PIECE: u64 = 100;
    let memory = Memory::watch(server.pid());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut sent = 0;
    let sending = async {
        writer.write_all(flood.begin.as_bytes()).await?;
        writer.write_all(then).await?;
        for from in (0..flood.times).step_by(PIECE as usize) {
            let piece: String = (from..from + PIECE).map(flood.again).collect();
            writer.write_all(piece.as_bytes()).await?;
            sent += piece.len();
        }
        writer.flush().await
    };
    let mut said = Vec::new();
    let receiving = reader.read_to_end(&mut said);
    let both = async { tokio::join!(sending, receiving) };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    let said = String::from_utf8_lossy(&said);
    let growth = memory.growth();
    println!("{who}, {}: {growth}; cut off after {sent} bytes", flood.name);
    assert!(ended.is_ok(), "{who}, {}: not cut off", flood.name);
    assert!(said.contains(flood.answer), "{who}, {}: {said}", flood.name);
    assert!(growth.kib() < MOST_KIB, "{who}, {}: {growth}", flood.name);
}
