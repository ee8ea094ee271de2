use wello_store::{Entry, OfflineId, OfflineUsage, Query};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, append, at, chat};

/// A message that is kept for its recipient only.
fn unarchived(database: &Database, second: i64) -> Entry {
    Entry {
        owners: Vec::new(),
        offline_for: Some(JULIET.to_owned()),
        ..chat(&database.store, ROMEO, JULIET, second, &format!("{second}"))
    }
}

pub(crate) async fn delivered_in_order_and_removed(database: &Database) {
    let (store, offline) = (&database.store, &database.store.offline);
    for second in 0..10 {
        store.archive.append(unarchived(database, second)).await.unwrap();
    }
    // Not waited for: what was appended before is seen.
    let bytes = (0..10).map(|second| unarchived(database, second).stanza.len() as u64).sum();
    let usage = OfflineUsage { messages: 10, bytes };
    assert_eq!(offline.usage(JULIET).await.unwrap(), usage);
    assert_eq!(offline.usage(ROMEO).await.unwrap(), OfflineUsage::default());
    let mut last: Option<OfflineId> = None;
    for begin in [0, 4, 8] {
        let page = offline.page(JULIET, last, 4).await.unwrap();
        let times: Vec<_> = page.iter().map(|message| message.time).collect();
        let expected: Vec<_> = (begin..(begin + 4).min(10)).map(at).collect();
        assert_eq!(times, expected);
        assert_eq!(page[0].from, format!("{ROMEO}/phone"));
        assert_eq!(page[0].archive_id, None);
        last = page.last().map(|message| message.id);
    }
    let all = offline.page(JULIET, None, 100).await.unwrap();
    assert_eq!(offline.remove(JULIET, &[all[8].id, all[3].id]).await.unwrap(), 2);
    assert_eq!(offline.remove(NURSE, &[all[0].id]).await.unwrap(), 0);
    let first: Vec<_> = all[..6].iter().map(|message| message.id).collect();
    assert_eq!(offline.remove(JULIET, &first).await.unwrap(), 5);
    let left = offline.page(JULIET, None, 100).await.unwrap();
    assert_eq!(left, [all[6].clone(), all[7].clone(), all[9].clone()]);
    // Nothing else wanted them.
    assert_eq!(database.rows("message").await, 3);
}

pub(crate) async fn shared_with_the_archive(database: &Database) {
    let (store, offline) = (&database.store, &database.store.offline);
    let entry = chat(store, ROMEO, JULIET, 1, "x");
    let id = Some(entry.owners[1].archive_id);
    let entry = Entry { offline_for: Some(JULIET.to_owned()), offline_id: id, ..entry };
    append(store, entry.clone()).await;
    let waiting = offline.page(JULIET, None, 10).await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].stanza), (1, &entry.stanza));
    assert_eq!(waiting[0].archive_id, id);
    assert_eq!(database.rows("message").await, 1);
    // Archives forget it, but it is still to be delivered.
    assert_eq!(store.archive.expire(None, at(100), 10).await.unwrap(), 2);
    assert_eq!(offline.page(JULIET, None, 10).await.unwrap(), waiting);
    assert_eq!(offline.remove(JULIET, &[waiting[0].id]).await.unwrap(), 1);
    assert_eq!(database.rows("message").await, 0);

    append(store, entry).await;
    let waiting = offline.page(JULIET, None, 10).await.unwrap();
    offline.remove(JULIET, &[waiting[0].id]).await.unwrap();
    let query = Query { owner: JULIET.to_owned(), max: 10, ..Query::default() };
    assert_eq!(store.archive.query(&query).await.unwrap().messages.len(), 1);
}

pub(crate) async fn expired(database: &Database) {
    let (store, offline) = (&database.store, &database.store.offline);
    for second in 0..10 {
        store.archive.append(unarchived(database, second)).await.unwrap().wait().await.unwrap();
    }
    assert_eq!(offline.expire(at(6), 4).await.unwrap(), 4);
    assert_eq!(offline.expire(at(6), 4).await.unwrap(), 2);
    assert_eq!(offline.expire(at(6), 4).await.unwrap(), 0);
    assert_eq!(offline.usage(JULIET).await.unwrap().messages, 4);
    assert_eq!(database.rows("message").await, 4);
}
