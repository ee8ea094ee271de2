//! What SQLite has of its own: rows that are moved on, copies, a file that others may not read.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use wello_store::{Options, Query, Store, StoreError};

use crate::fixture::{self, Database, JULIET, ROMEO, append, at, chat, options};

async fn archived(store: &Store, owner: &str) -> usize {
    let query = Query { owner: owner.to_owned(), max: 1_000_000, ..Query::default() };
    let page = store.archive.query(&query).await.unwrap();
    assert!(page.messages.is_sorted_by(|one, next| one.id < next.id));
    page.messages.len()
}

async fn fill(database: &Database, from: usize, to: usize) {
    let store = &database.store;
    let mut last = None;
    for number in from..to {
        let sender = format!("u{}@x.example", number % 97);
        let entry = chat(store, &sender, JULIET, number as i64, "x");
        last = Some(store.archive.append(entry).await.unwrap());
    }
    last.unwrap().wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_rows_move_on_and_are_found_all_the_while() {
    let database = fixture::sqlite().await;
    fill(&database, 0, 10_000).await;
    // Background work comes after the answer; any later write comes after the work.
    append(&database.store, chat(&database.store, ROMEO, JULIET, 20_000, "x")).await;
    // In one statement: more work may be done meanwhile.
    let both = "(SELECT id FROM archive_recent UNION ALL SELECT id FROM archive)";
    assert_eq!(database.rows(both).await, 20_002);
    let recent = database.rows("archive_recent").await;
    let moved = database.rows("archive").await;
    assert!(moved > 0, "nothing was moved");
    assert!(recent < 18_500, "{recent} rows are left");
    for name in 0..97 {
        let owner = format!("u{name}@x.example");
        let expected = (0..10_000).filter(|number| number % 97 == name).count();
        assert_eq!(archived(&database.store, &owner).await, expected);
    }
    assert_eq!(archived(&database.store, JULIET).await, 10_001);
    assert_eq!(database.store.archive.expire(None, at(5_000), 100_000).await.unwrap(), 10_000);
    assert_eq!(archived(&database.store, JULIET).await, 5_001);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_purged_by_another_process_is_not_written_to() {
    let database = fixture::sqlite().await;
    append(&database.store, chat(&database.store, ROMEO, JULIET, 1, "old")).await;
    let other = database.again(&options()).await;
    other.archive.purge(ROMEO).await.unwrap();
    append(&database.store, chat(&database.store, ROMEO, JULIET, 2, "new")).await;
    assert_eq!(archived(&database.store, ROMEO).await, 1);
    while other.archive.maintain().await.unwrap() {}
    assert_eq!(archived(&database.store, ROMEO).await, 1);
    other.close().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_writers_do_background_work() {
    let database = fixture::sqlite().await;
    let quick = Options { idle: std::time::Duration::from_millis(1), ..options() };
    let store = database.again(&quick).await;
    for second in 0..600 {
        store.archive.append(chat(&store, ROMEO, JULIET, second, "light")).await.unwrap();
    }
    store.archive.purge(JULIET).await.unwrap();
    while database.rows("message_fts").await < 600 || database.rows("archive_owner").await > 1 {
        tokio::task::yield_now().await;
    }
    store.close().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_whole_and_private() {
    let database = fixture::sqlite().await;
    fill(&database, 0, 100).await;
    let copy = database.folder().join("copy.db");
    database.store.backup(&copy).await.unwrap();
    fill(&database, 100, 110).await;
    assert!(matches!(database.store.backup(&copy).await, Err(StoreError::Io(_))));
    let store = Store::open("sqlite:copy.db", database.folder(), &options()).await.unwrap();
    assert_eq!(archived(&store, JULIET).await, 100);
    assert_eq!(store.check().await.unwrap(), [""; 0]);
    store.close().await;
    #[cfg(unix)]
    for file in [copy, database.path()] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_noticed() {
    let database = fixture::sqlite().await;
    fill(&database, 0, 3).await;
    database.execute("UPDATE message SET refs = 1 WHERE id = (SELECT min(id) FROM message)").await;
    database.execute("DELETE FROM message WHERE id = (SELECT max(id) FROM message)").await;
    let problems = database.store.check().await.unwrap();
    assert_eq!(
        problems,
        ["1 messages count their archives wrongly", "2 archive rows have no message"]
    );
    database.store.close().await;
}

#[tokio::test]
async fn other_urls_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    for url in ["", "wello.db", "sqlite:", "sqlite::memory:", "sqlite:x.db?mode=ro", "mysql://x"] {
        let answer = Store::open(url, folder.path(), &options()).await;
        assert!(matches!(answer.map(|_| ()), Err(StoreError::Url)), "{url}");
    }
}

/// Folder of the process that is to be killed.
const DOOMED: &str = "WELLO_TEST_DOOMED";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut doomed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_only::a_process_to_be_killed", "--nocapture"])
        .env(DOOMED, folder.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(doomed.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(count) = line.strip_prefix("acknowledged ") {
            acknowledged = count.parse().unwrap();
        }
        if acknowledged > 300 {
            // SIGKILL; what it still said is read on.
            doomed.start_kill().unwrap();
        }
    }
    assert!(acknowledged > 300);
    let store = Store::open("sqlite:wello.db", folder.path(), &options()).await.unwrap();
    assert!(archived(&store, JULIET).await >= acknowledged);
    assert_eq!(store.check().await.unwrap(), [""; 0]);
    store.close().await;
}

/// The process that the test above starts; by itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_to_be_killed() {
    let Some(folder) = std::env::var_os(DOOMED) else { return };
    let store = Store::open("sqlite:wello.db", folder.as_ref(), &options()).await.unwrap();
    for batch in 1.. {
        let mut tickets = Vec::new();
        for number in 0..5 {
            let entry = chat(&store, ROMEO, JULIET, batch * 5 + number, "x");
            tickets.push(store.archive.append(entry).await.unwrap());
        }
        tickets[4].wait().await.unwrap();
        println!("acknowledged {}", batch * 5);
    }
}
