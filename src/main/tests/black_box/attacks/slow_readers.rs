//! Clients that are sent much and read nothing.

use tokio::io::AsyncWriteExt as _;

use super::Witness;
use crate::client::{Client, Gone, PATIENCE};
use crate::database;
use crate::memory::Memory;
use crate::server::Server;

/// What a session may hold is an inbox and a queue of a megabyte each, what is on its way, and
/// the room that the allocator keeps: jemalloc up to 10 MiB where many threads have had a part. Without a bound
/// it would be gigabytes.
const MOST_KIB: u64 = 16 * 1024;
const MESSAGES: usize = 400;
const MESSAGE_BYTES: usize = 200_000;
const REQUESTS: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_nobody_up() {
    for managed in [false, true] {
        let accounts = ["witness", "sleepy", "chatty"].map(str::to_owned);
        // The flood is to come at once; it is not the rate that this is about.
        let config = "[limits]\nrate_bytes_per_second = 1_000_000_000\nburst_bytes = 1_000_000_000\n\
            [offline]\nenabled = false\n[archive]\nenabled = false\n";
        let server = Server::start(database::SQLITE, &accounts, config).await;
        let witness = Witness::start(&server).await;
        let mut sleepy = Client::login(&server, "sleepy", "phone").await.unwrap();
        if managed {
            sleepy.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await.unwrap();
            sleepy.find("<enabled").await.unwrap();
        }
        sleepy.send("<presence/>").await.unwrap();
        sleepy.find("<presence").await.unwrap();
        let mut chatty = Client::login(&server, "chatty", "phone").await.unwrap();
        let memory = Memory::watch(server.pid());
        let body = "x".repeat(MESSAGE_BYTES);
        let message = format!(
            "<message to='sleepy@localhost/phone' type='chat'><body>{body}</body></message>"
        );
        for _ in 0..MESSAGES {
            chatty.send(&message).await.unwrap();
        }
        // What was sent before the answer has been routed before it.
        let last = "<iq type='get' to='localhost' id='last'><ping xmlns='urn:xmpp:ping'/></iq>";
        chatty.send(last).await.unwrap();
        while !chatty.find("<iq").await.unwrap().contains("last") {}
        let growth = memory.growth();
        println!("a slow reader, stream management {managed}: {growth}");
        assert!(growth.kib() < MOST_KIB, "{growth}");
        // It gets what was on its way, and then its end.
        let end = loop {
            match sleepy.next().await {
                Ok(item) if item.starts_with("<stream:error") => break item,
                Ok(_) => {}
                Err(Gone) => break String::new(),
            }
        };
        assert!(end.is_empty() || end.contains("<resource-constraint"), "{end}");
        witness.served().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_its_answers_is_not_read_either() {
    let accounts = ["witness", "sleepy"].map(str::to_owned);
    let config = "[limits]\nrate_bytes_per_second = 1_000_000_000\nburst_bytes = 1_000_000_000\n";
    let server = Server::start(database::SQLITE, &accounts, config).await;
    let witness = Witness::start(&server).await;
    let mut sleepy = Client::login(&server, "sleepy", "phone").await.unwrap();
    let memory = Memory::watch(server.pid());
    let request = "<iq type='get' to='localhost' id='i'>\
        <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    let batch = request.repeat(1000);
    let sending = async {
        for _ in 0..REQUESTS / 1000 {
            if sleepy.io.write_all(batch.as_bytes()).await.is_err() {
                return true;
            }
        }
        false
    };
    // The server waits for it to read, and then has waited long enough.
    let cut_off = tokio::time::timeout(PATIENCE, sending).await.expect("the server ends it");
    assert!(cut_off, "all requests were taken");
    let growth = memory.growth();
    println!("a client that does not read its answers: {growth}");
    assert!(growth.kib() < MOST_KIB, "{growth}");
    witness.served().await;
}
