use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use wello_store::{Anchor, ArchiveId, Entry, Owner, Page, Query};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at, chat};

const PEERS: [&str; 3] = [JULIET, NURSE, "tybalt@capulet.example"];

/// A query without a page, and a size of pages.
fn queries() -> impl Strategy<Value = (Query, u32)> {
    let seconds = || proptest::option::of(-5..65i64);
    let with = proptest::option::of(0..PEERS.len());
    let text = proptest::option::of(0..3u8);
    (seconds(), seconds(), with, text, 1..30u32).prop_map(|(start, end, with, text, size)| {
        let query = Query {
            owner: ROMEO.to_owned(),
            start: start.map(at),
            end: end.map(at),
            with: with.map(|peer| PEERS[peer].to_owned()),
            text: text.map(|word| format!("word{word}")),
            ..Query::default()
        };
        (query, size)
    })
}

pub(crate) async fn pages_forwards_and_backwards_are_all(database: &Database) {
    let store = &database.store;
    let mut sent = Vec::new();
    for second in 0..60 {
        let peer = PEERS[(second * 7 % 3) as usize];
        let id = store.archive_ids.next(at(second));
        let owner = Owner { owner: ROMEO.to_owned(), archive_id: id, with: peer.to_owned() };
        let word = second * 11 % 4;
        let entry = chat(store, peer, ROMEO, second, &format!("word{word} text"));
        let ticket = store.archive.append(Entry { owners: vec![owner], ..entry }).await.unwrap();
        ticket.wait().await.unwrap();
        sent.push((id, second, peer, word));
        if second == 30 {
            database.maintain().await;
        }
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..60 {
        let (query, size) = queries().new_tree(&mut runner).unwrap().current();
        let expected: Vec<_> = sent
            .iter()
            .filter(|(_, second, peer, word)| {
                query.start.is_none_or(|start| at(*second) >= start)
                    && query.end.is_none_or(|end| at(*second) <= end)
                    && query.with.as_deref().is_none_or(|with| with == *peer)
                    && query.text.as_deref().is_none_or(|text| text == format!("word{word}"))
            })
            .map(|(id, ..)| *id)
            .collect();
        assert_eq!(forwards(database, &query, size).await, expected, "{query:?}");
        assert_eq!(backwards(database, &query, size).await, expected, "{query:?}");
        let counted = Query { count: true, ..query };
        let page = store.archive.query(&counted).await.unwrap();
        assert_eq!(page.count, Some(expected.len() as u64));
    }
}

async fn forwards(database: &Database, query: &Query, size: u32) -> Vec<ArchiveId> {
    let mut all = Vec::new();
    let mut anchor = Anchor::First;
    loop {
        let page = page(database, query, anchor, size).await;
        all.extend(page.messages.iter().map(|message| message.id));
        match page.last() {
            Some(last) if !page.complete => anchor = Anchor::After(last),
            _ => return all,
        }
    }
}

async fn backwards(database: &Database, query: &Query, size: u32) -> Vec<ArchiveId> {
    let mut all = Vec::new();
    let mut anchor = Anchor::Last;
    loop {
        let page = page(database, query, anchor, size).await;
        all.splice(0..0, page.messages.iter().map(|message| message.id));
        match page.first() {
            Some(first) if !page.complete => anchor = Anchor::Before(first),
            _ => return all,
        }
    }
}

async fn page(database: &Database, query: &Query, anchor: Anchor, max: u32) -> Page {
    let query = Query { anchor, max, ..query.clone() };
    let page = database.store.archive.query(&query).await.unwrap();
    assert!(page.messages.is_sorted_by(|one, next| one.id < next.id));
    assert!(page.complete || page.messages.len() == max as usize);
    page
}
