//! What storing a message costs. Not a timed test: run it by hand on a quiet machine with
//! `cargo test --release -p wello-store --test cost -- --ignored --nocapture`.
//! COST_URL names another database than SQLite in a temporary folder, COST_MESSAGES how many.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wello_store::{Anchor, Entry, MessageKind, Options, Owner, Query, Store, Timestamp};

const BODY: &str = "Parting is such sweet sorrow that I shall say good night till it be morrow";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn appending() {
    for owners in [200, 2_000, 20_000] {
        for batch in [1, 10, 50, 500] {
            append(owners, batch).await;
        }
    }
}

/// Stores messages between random accounts, so many in each batch, after as many that are not measured.
async fn append(owners: u64, batch: usize) {
    let count: usize = variable("COST_MESSAGES").map_or(20_000, |count| count.parse().unwrap());
    let count = if batch == 1 { count / 10 } else { count };
    let folder = tempfile::tempdir().unwrap();
    let batches = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&batches);
    let options = Options {
        batch_entries: batch,
        idle: Duration::from_secs(3600),
        on_batch: Some(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        })),
        ..Options::default()
    };
    let url = variable("COST_URL").unwrap_or_else(|| "sqlite:wello.db".to_owned());
    let store = Store::open(&url, folder.path(), &options).await.unwrap();
    let mut random = 1u64;
    let warm = entries(&store, owners, 60_000, &mut random);
    write(&store, warm, 1_000).await;
    let measured = entries(&store, owners, count, &mut random);
    let (cpu, wall) = (cpu_time(), Instant::now());
    batches.store(0, Ordering::Relaxed);
    write(&store, measured, batch * 2).await;
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    let batch = count / batches.load(Ordering::Relaxed).max(1);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{owners:6} owners, batches of {batch:4}: {:6.1} us CPU, {:6.1} us elapsed per message",
        each(cpu),
        each(wall)
    );
    if batch == 500 {
        index_and_search(&store, count + 60_000).await;
    }
    store.close().await;
}

async fn index_and_search(store: &Store, count: usize) {
    let cpu = cpu_time();
    while store.archive.maintain().await.unwrap() {}
    let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / count as f64;
    println!("       full-text index: {each:.1} us CPU per message");
    let of = |text: Option<&str>, with: Option<&str>| Query {
        owner: account(1),
        text: text.map(str::to_owned),
        with: with.map(str::to_owned),
        anchor: Anchor::Last,
        max: 50,
        ..Query::default()
    };
    let peer = account(2);
    for (what, query) in [
        ("newest page", of(None, None)),
        ("newest page with one peer", of(None, Some(&peer))),
        ("full-text page", of(Some("sorrow"), None)),
    ] {
        let cpu = cpu_time();
        for _ in 0..200 {
            store.archive.query(&query).await.unwrap();
        }
        let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / 200.0;
        println!("       {what}: {each:.0} us CPU");
    }
}

async fn write(store: &Store, entries: Vec<Entry>, waiting: usize) {
    let mut tickets = std::collections::VecDeque::new();
    for entry in entries {
        tickets.push_back(store.archive.append(entry).await.unwrap());
        if tickets.len() >= waiting {
            tickets.pop_front().unwrap().wait().await.unwrap();
        }
    }
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
}

fn entries(store: &Store, owners: u64, count: usize, random: &mut u64) -> Vec<Entry> {
    let mut account_of = || {
        // A linear congruential generator (Knuth's MMIX) is random enough to scatter rows.
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        account((*random >> 33) % owners)
    };
    let mut message = |number: usize| {
        let (from, to) = (account_of(), account_of());
        let now = Timestamp::from_secs(1_700_000_000 + number as i64);
        let owner = |owner: &str, with: &str| Owner {
            owner: owner.to_owned(),
            archive_id: store.archive_ids.next(now),
            with: with.to_owned(),
        };
        let owners = vec![owner(&from, &to), owner(&to, &from)];
        let id = format!("5f2b6c1e-9d0a-4d33-8a44-{number:012}");
        Entry {
            stanza: Bytes::from(format!(
                "<message xmlns='jabber:client' from='{from}/phone.3c1b' to='{to}' type='chat' id='{id}'>\
                <body>{BODY}</body><active xmlns='http://jabber.org/protocol/chatstates'/>\
                <request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>\
                <origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
            )),
            time: now,
            from: format!("{from}/phone.3c1b"),
            to,
            kind: MessageKind::Chat,
            message_id: Some(id),
            origin_id: None,
            text: Some(BODY.to_owned()),
            owners,
            offline_for: None,
            offline_id: None,
        }
    };
    (0..count).map(&mut message).collect()
}

fn account(number: u64) -> String {
    format!("user{number}@montague.example")
}

/// Time that all threads of this process were on a processor.
fn cpu_time() -> Duration {
    let mut all = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path().join("schedstat");
        let stat = std::fs::read_to_string(path).unwrap();
        let nanos = stat.split_whitespace().next().unwrap().parse().unwrap();
        all += Duration::from_nanos(nanos);
    }
    all
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
