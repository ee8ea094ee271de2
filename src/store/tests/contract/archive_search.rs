use bytes::Bytes;
use wello_store::{Anchor, ArchiveId, Query};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, append, at, chat};

async fn search(database: &Database, owner: &str, text: &str) -> Vec<ArchiveId> {
    let query = Query {
        owner: owner.to_owned(),
        text: Some(text.to_owned()),
        max: 100,
        count: true,
        ..Query::default()
    };
    let page = database.store.archive.query(&query).await.unwrap();
    assert_eq!(page.count, Some(page.messages.len() as u64));
    page.messages.iter().map(|message| message.id).collect()
}

pub(crate) async fn words_are_found_before_and_after_indexing(database: &Database) {
    let store = &database.store;
    let a = append(store, chat(store, ROMEO, JULIET, 1, "But, soft! what light")).await;
    let b = append(store, chat(store, JULIET, ROMEO, 2, "Ay me! LIGHT of Ärger")).await;
    let mut encrypted = chat(store, ROMEO, JULIET, 3, "light");
    encrypted.text = None;
    append(store, encrypted).await;
    for indexed in [false, true] {
        let found = async |text| search(database, ROMEO, text).await;
        assert_eq!(found("light").await, [a, b], "indexed: {indexed}");
        assert_eq!(found("Light ÄRGER").await, [b], "indexed: {indexed}");
        assert_eq!(found("light?soft").await, [a], "indexed: {indexed}");
        assert_eq!(found("ligh").await, [], "indexed: {indexed}");
        assert_eq!(found("light darkness").await, [], "indexed: {indexed}");
        assert_eq!(found("\" OR \"").await, [], "indexed: {indexed}");
        assert_eq!(found("").await, [], "indexed: {indexed}");
        let page = Query {
            owner: ROMEO.to_owned(),
            text: Some("light".to_owned()),
            with: Some(JULIET.to_owned()),
            anchor: Anchor::Last,
            max: 1,
            ..Query::default()
        };
        let page = store.archive.query(&page).await.unwrap();
        assert_eq!((page.last(), page.complete), (Some(b), false));
        database.maintain().await;
    }
    // Some in the index, some not.
    let c = append(store, chat(store, ROMEO, JULIET, 4, "more light")).await;
    assert_eq!(search(database, ROMEO, "light").await, [a, b, c]);
    assert_eq!(database.rows("message_fts").await, 2);
}

pub(crate) async fn retracted_and_expired_words_are_gone(database: &Database) {
    let store = &database.store;
    let a = append(store, chat(store, ROMEO, JULIET, 1, "poison")).await;
    let b = append(store, chat(store, ROMEO, JULIET, 2, "poison")).await;
    database.maintain().await;
    let c = append(store, chat(store, ROMEO, JULIET, 3, "poison")).await;
    assert_eq!(search(database, JULIET, "poison").await, [a, b, c]);
    let tombstone = Bytes::from_static(b"<message/>");
    for id in [b, c] {
        assert!(store.archive.retract(ROMEO, id, &tombstone).await.unwrap());
    }
    assert_eq!(search(database, JULIET, "poison").await, [a]);
    database.maintain().await;
    assert_eq!(search(database, JULIET, "poison").await, [a]);
    store.archive.expire(None, at(2), 100).await.unwrap();
    assert_eq!(search(database, JULIET, "poison").await, []);
    assert_eq!(database.rows("message_fts").await, 0);
}

pub(crate) async fn foreign_archives_are_not_searched(database: &Database) {
    let store = &database.store;
    append(store, chat(store, NURSE, JULIET, 1, "secret")).await;
    let own = append(store, chat(store, ROMEO, JULIET, 2, "secret")).await;
    for _ in 0..2 {
        assert_eq!(search(database, ROMEO, "secret").await, [own]);
        // Owners are words of the index, but nobody finds a message by them.
        assert_eq!(search(database, ROMEO, "1").await, []);
        assert_eq!(search(database, ROMEO, "owners").await, []);
        database.maintain().await;
    }
}
