use std::sync::{Arc, Mutex};

use bytes::Bytes;
use wello_store::{
    Anchor, ArchiveDefault, ArchiveId, ArchivePrefs, ArchiveStats, Entry, MessageKind, MessageRef,
    Options, Owner, Query, QueryError, StoreError,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, append, at, chat, options};

fn all(owner: &str) -> Query {
    Query { owner: owner.to_owned(), max: 10_000, ..Query::default() }
}

/// Ids of what a query finds; it must be one page.
async fn ids(database: &Database, query: &Query) -> Vec<ArchiveId> {
    let page = database.store.archive.query(query).await.unwrap();
    assert!(page.complete);
    page.messages.iter().map(|message| message.id).collect()
}

pub(crate) async fn appended_and_read_back(database: &Database) {
    let store = &database.store;
    let entry = Entry { kind: MessageKind::Groupchat, ..chat(store, ROMEO, JULIET, 5, "Hä?") };
    let id = append(store, entry.clone()).await;
    for owner in [ROMEO, JULIET] {
        let page = store.archive.query(&all(owner)).await.unwrap();
        let [message] = &page.messages[..] else { panic!("{page:?}") };
        assert_eq!(message.id, id);
        assert_eq!(message.stanza, entry.stanza);
        assert_eq!((message.time, message.kind), (at(5), MessageKind::Groupchat));
        assert_eq!((&message.from, &message.to), (&entry.from, &entry.to));
        assert!(page.complete && !message.retracted);
        assert_eq!((page.first(), page.last(), page.count), (Some(id), Some(id), None));
    }
    assert_eq!(ids(database, &all(NURSE)).await, []);
    assert_eq!(database.rows("message").await, 1);
    let stats = ArchiveStats { messages: 1, bytes: entry.stanza.len() as u64 };
    assert_eq!(store.archive.stats(None).await.unwrap(), stats);
    assert_eq!(store.archive.stats(Some(JULIET)).await.unwrap(), stats);
    assert_eq!(store.archive.stats(Some(NURSE)).await.unwrap(), ArchiveStats::default());
}

pub(crate) async fn tickets_are_done_in_order(database: &Database) {
    let store = &database.store;
    let mut tickets = Vec::new();
    for second in 0..300 {
        tickets.push(store.archive.append(chat(store, ROMEO, JULIET, second, "x")).await.unwrap());
    }
    // Whichever is done, all before it are.
    while !tickets[299].is_done() {
        let done: Vec<_> = tickets.iter().rev().map(wello_store::Ticket::is_done).collect();
        assert!(done.is_sorted(), "{done:?}");
        tokio::task::yield_now().await;
    }
    for ticket in tickets {
        assert_eq!(ticket.result().map(|result| result.is_ok()), Some(true));
        ticket.wait().await.unwrap();
    }
    // What a ticket says is done is there for another connection.
    assert_eq!(database.rows("message").await, 300);
}

pub(crate) async fn concurrent_appends_are_all_there(database: &Database) {
    let small = Options { queue_bytes: 8_000, batch_entries: 7, ..options() };
    let store = database.again(&small).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let owner = format!("u{task}@x.example");
            for second in 0..50 {
                append(&store, chat(&store, &owner, JULIET, second, "x")).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(ids(database, &all(JULIET)).await.len(), 400);
    for task in 0..8 {
        assert_eq!(ids(database, &all(&format!("u{task}@x.example"))).await.len(), 50);
    }
    store.close().await;
}

pub(crate) async fn a_bad_entry_fails_alone(database: &Database) {
    let store = &database.store;
    let first = append(store, chat(store, ROMEO, JULIET, 0, "first")).await;
    let mut tickets = Vec::new();
    for second in 1..=20 {
        let mut entry = chat(store, ROMEO, JULIET, second, "x");
        if second == 10 {
            // The archive has a message of this id.
            entry.owners[1].archive_id = first;
        }
        tickets.push(store.archive.append(entry).await.unwrap());
    }
    for (second, ticket) in (1..).zip(&tickets) {
        let result = ticket.wait().await;
        assert_eq!(result.is_err(), second == 10, "{second}: {result:?}");
    }
    assert!(matches!(tickets[9].wait().await, Err(StoreError::Database(_))));
    assert_eq!(ids(database, &all(ROMEO)).await.len(), 20);
    assert_eq!(ids(database, &all(JULIET)).await.len(), 20);
}

pub(crate) async fn batches_are_reported(database: &Database) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reports);
    let on_batch = Arc::new(move |report: &wello_store::BatchReport| {
        seen.lock().unwrap().push(*report);
    });
    let store = database.again(&Options { on_batch: Some(on_batch), ..options() }).await;
    let mut tickets = Vec::new();
    for second in 0..50 {
        tickets.push(store.archive.append(chat(&store, ROMEO, JULIET, second, "x")).await.unwrap());
    }
    store.close().await;
    let reports = reports.lock().unwrap();
    assert_eq!(reports.iter().map(|report| report.messages).sum::<usize>(), 50);
    assert!(reports.iter().all(|report| report.bytes > 0 && !report.latency.is_zero()));
}

pub(crate) async fn narrowed_by_peer(database: &Database) {
    let store = &database.store;
    let a = append(store, chat(store, ROMEO, JULIET, 1, "a")).await;
    let b = append(store, chat(store, NURSE, ROMEO, 2, "b")).await;
    let c = append(store, chat(store, JULIET, ROMEO, 3, "c")).await;
    let d = append(store, chat(store, ROMEO, ROMEO, 4, "d")).await;
    let with = |with: &str| Query { with: Some(with.to_owned()), ..all(ROMEO) };
    assert_eq!(ids(database, &all(ROMEO)).await, [a, b, c, d]);
    assert_eq!(ids(database, &with(JULIET)).await, [a, c]);
    assert_eq!(ids(database, &with(NURSE)).await, [b]);
    assert_eq!(ids(database, &with(ROMEO)).await, [d]);
    assert_eq!(ids(database, &with("else@x.example")).await, []);
    assert_eq!(ids(database, &with(&format!("{JULIET}/phone"))).await, [c]);
    assert_eq!(ids(database, &with(&format!("{JULIET}/laptop"))).await, []);
    let counted = Query { count: true, max: 0, ..with(JULIET) };
    let page = store.archive.query(&counted).await.unwrap();
    assert_eq!((page.messages.len(), page.count, page.complete), (0, Some(2), false));
}

pub(crate) async fn narrowed_by_time_and_ids(database: &Database) {
    let store = &database.store;
    let mut sent = Vec::new();
    for second in 0..10 {
        sent.push(append(store, chat(store, ROMEO, JULIET, second, "x")).await);
    }
    let found = async |query: Query| {
        let page = store.archive.query(&query).await.unwrap();
        let positions = page
            .messages
            .iter()
            .map(|message| sent.iter().position(|id| *id == message.id).unwrap());
        (positions.collect::<Vec<_>>(), page.complete)
    };
    let base = || all(ROMEO);
    let start = Query { start: Some(at(7)), ..base() };
    assert_eq!(found(start).await.0, [7, 8, 9]);
    let end = Query { end: Some(at(2)), ..base() };
    assert_eq!(found(end).await.0, [0, 1, 2]);
    let both = Query { start: Some(at(3)), end: Some(at(4)), ..base() };
    assert_eq!(found(both).await.0, [3, 4]);
    let between = Query { after_id: Some(sent[3]), before_id: Some(sent[6]), ..base() };
    assert_eq!(found(between).await.0, [4, 5]);
    let named = Query { ids: vec![sent[8], sent[1]], ..base() };
    assert_eq!(found(named).await.0, [1, 8]);
    let named = Query { ids: vec![sent[8], sent[1]], with: Some(NURSE.to_owned()), ..base() };
    assert_eq!(found(named).await.0, [0; 0]);

    let page = |anchor, max| Query { start: Some(at(2)), end: Some(at(7)), anchor, max, ..base() };
    assert_eq!(found(page(Anchor::First, 3)).await, (vec![2, 3, 4], false));
    assert_eq!(found(page(Anchor::After(sent[4]), 3)).await, (vec![5, 6, 7], true));
    assert_eq!(found(page(Anchor::After(sent[4]), 2)).await, (vec![5, 6], false));
    assert_eq!(found(page(Anchor::Last, 2)).await, (vec![6, 7], false));
    assert_eq!(found(page(Anchor::Before(sent[4]), 2)).await, (vec![2, 3], true));
    assert_eq!(found(page(Anchor::Before(sent[9]), 3)).await, (vec![5, 6, 7], false));
    assert_eq!(found(page(Anchor::After(sent[9]), 3)).await, (vec![], true));
    let counted = Query { count: true, ..page(Anchor::After(sent[4]), 2) };
    assert_eq!(store.archive.query(&counted).await.unwrap().count, Some(6));
}

pub(crate) async fn unknown_ids_are_not_found(database: &Database) {
    let store = &database.store;
    let known = append(store, chat(store, ROMEO, JULIET, 1, "x")).await;
    let unknown = store.archive_ids.next(at(2));
    for query in [
        Query { anchor: Anchor::After(unknown), ..all(ROMEO) },
        Query { anchor: Anchor::Before(unknown), ..all(ROMEO) },
        Query { after_id: Some(unknown), ..all(ROMEO) },
        Query { before_id: Some(unknown), ..all(ROMEO) },
        Query { ids: vec![known, unknown], ..all(ROMEO) },
    ] {
        let answer = store.archive.query(&query).await;
        let Err(QueryError::ItemNotFound(id)) = answer else { panic!("{answer:?}") };
        assert_eq!(id, unknown);
        // It is in the archive of somebody, but not in this one.
        let foreign = Query { owner: NURSE.to_owned(), ids: vec![known], ..query };
        let answer = store.archive.query(&foreign).await;
        assert!(matches!(answer, Err(QueryError::ItemNotFound(_))), "{answer:?}");
    }
}

pub(crate) async fn bounds_are_the_ends(database: &Database) {
    let store = &database.store;
    assert_eq!(store.archive.bounds(ROMEO).await.unwrap(), None);
    let mut sent = Vec::new();
    for second in 3..6 {
        sent.push(append(store, chat(store, ROMEO, JULIET, second, "x")).await);
    }
    append(store, chat(store, NURSE, JULIET, 9, "x")).await;
    let bounds = store.archive.bounds(ROMEO).await.unwrap().unwrap();
    assert_eq!((bounds.first, bounds.last), ((sent[0], at(3)), (sent[2], at(5))));
}

pub(crate) async fn found_and_retracted(database: &Database) {
    let store = &database.store;
    let mut entry = chat(store, ROMEO, JULIET, 1, "wrong window");
    entry.origin_id = Some("o-1".to_owned());
    let id = append(store, entry.clone()).await;
    append(store, chat(store, JULIET, ROMEO, 2, "x")).await;
    let sent = |by: &str, name: &str, with: &str| MessageRef::Sent {
        with: with.to_owned(),
        by: by.to_owned(),
        id: name.to_owned(),
    };
    let find = async |owner, which: MessageRef| {
        store.archive.find(owner, &which).await.unwrap().map(|found| found.id)
    };
    assert_eq!(find(ROMEO, MessageRef::Archive(id)).await, Some(id));
    assert_eq!(find(NURSE, MessageRef::Archive(id)).await, None);
    assert_eq!(find(JULIET, sent(ROMEO, "m-1", ROMEO)).await, Some(id));
    assert_eq!(find(JULIET, sent(ROMEO, "o-1", ROMEO)).await, Some(id));
    assert_eq!(find(ROMEO, sent(ROMEO, "o-1", JULIET)).await, Some(id));
    assert_eq!(find(JULIET, sent(&format!("{ROMEO}/phone"), "m-1", ROMEO)).await, Some(id));
    assert_eq!(find(JULIET, sent(&format!("{ROMEO}/laptop"), "m-1", ROMEO)).await, None);
    // A name of the same beginning is somebody else.
    assert_eq!(find(JULIET, sent("romeo@montague", "m-1", ROMEO)).await, None);
    assert_eq!(find(JULIET, sent(JULIET, "m-1", ROMEO)).await, None);
    assert_eq!(find(JULIET, sent(ROMEO, "m-2", ROMEO)).await, None);

    let tombstone = Bytes::from_static(b"<message><retracted/></message>");
    let foreign = store.archive.retract(NURSE, id, &tombstone).await.unwrap();
    assert!(!foreign);
    assert!(store.archive.retract(JULIET, id, &tombstone).await.unwrap());
    for owner in [ROMEO, JULIET] {
        let found = store.archive.find(owner, &MessageRef::Archive(id)).await.unwrap().unwrap();
        assert!(found.retracted);
        assert_eq!((found.stanza, found.time), (tombstone.clone(), at(1)));
    }
    assert_eq!(
        database.texts("SELECT coalesce(text, '') FROM message ORDER BY id").await,
        ["", "x"]
    );
}

pub(crate) async fn expired_in_pieces(database: &Database) {
    let store = &database.store;
    for second in 0..10 {
        append(store, chat(store, ROMEO, JULIET, second, "x")).await;
    }
    let mut old = chat(store, NURSE, JULIET, 5, "y");
    old.owners.truncate(1);
    append(store, old).await;
    // Twenty rows of messages older than the tenth second, two for each message, and the nurse's.
    let expire =
        async |owner, second, limit| store.archive.expire(owner, at(second), limit).await.unwrap();
    assert_eq!(expire(Some(NURSE), 100, 100).await, 1);
    assert_eq!(expire(None, 4, 5).await, 5);
    assert_eq!(expire(None, 4, 5).await, 3);
    assert_eq!(expire(None, 4, 5).await, 0);
    assert_eq!(database.rows("message").await, 6);
    assert_eq!(expire(Some(ROMEO), 8, 100).await, 4);
    assert_eq!(ids(database, &all(ROMEO)).await.len(), 2);
    assert_eq!(ids(database, &all(JULIET)).await.len(), 6);
    // Juliet still has them.
    assert_eq!(database.rows("message").await, 6);
    assert_eq!(expire(None, 100, 100).await, 8);
    assert_eq!(database.rows("message").await, 0);
}

pub(crate) async fn purged_archives_are_empty_and_their_space_is_freed(database: &Database) {
    let store = &database.store;
    let owner = |owner: &str, with: &str, second| Owner {
        owner: owner.to_owned(),
        archive_id: store.archive_ids.next(at(second)),
        with: with.to_owned(),
    };
    for second in 0..30 {
        let room = "room@conference.capulet.example";
        let owners = vec![owner(room, ROMEO, second)];
        append(store, Entry { owners, ..chat(store, ROMEO, room, second, "x") }).await;
    }
    let kept = append(store, chat(store, ROMEO, JULIET, 50, "x")).await;
    store.archive.purge("room@conference.capulet.example").await.unwrap();
    assert_eq!(ids(database, &all("room@conference.capulet.example")).await, []);
    // A new room of that name begins anew, also while the old rows are there.
    let owners = vec![owner("room@conference.capulet.example", ROMEO, 60)];
    let new = Entry { owners, ..chat(store, ROMEO, JULIET, 60, "new") };
    let new = append(store, new).await;
    assert_eq!(ids(database, &all("room@conference.capulet.example")).await, [new]);
    database.maintain().await;
    assert_eq!(ids(database, &all("room@conference.capulet.example")).await, [new]);
    assert_eq!(ids(database, &all(ROMEO)).await, [kept]);
    assert_eq!(database.rows("message").await, 2);
    assert_eq!(database.rows("archive_owner").await, 3);
}

pub(crate) async fn preferences_are_kept(database: &Database) {
    let archive = &database.store.archive;
    assert_eq!(archive.prefs(ROMEO).await.unwrap(), None);
    for default in [ArchiveDefault::Roster, ArchiveDefault::Never, ArchiveDefault::Always] {
        let prefs = ArchivePrefs {
            default,
            always: vec![JULIET.to_owned()],
            never: vec!["montague@x.example".to_owned(), NURSE.to_owned()],
        };
        archive.set_prefs(ROMEO, &prefs).await.unwrap();
        assert_eq!(archive.prefs(ROMEO).await.unwrap(), Some(prefs));
    }
    assert_eq!(archive.prefs(JULIET).await.unwrap(), None);
}

pub(crate) async fn ids_go_on_after_reopening(database: &Database) {
    let store = database.again(&options()).await;
    let first = append(&store, chat(&store, ROMEO, JULIET, 100, "x")).await;
    store.close().await;
    let store = database.again(&options()).await;
    // The clock was set back meanwhile.
    let second = append(&store, chat(&store, ROMEO, JULIET, 50, "x")).await;
    assert!(second > first, "{second} {first}");
    assert!(second.time() < at(101));
    assert_ne!(store.archive_ids.of_the_past().next(at(100)), first);
    assert_eq!(store.archive_ids.of_the_past().next(at(3)).time(), at(3));
    store.close().await;
}
