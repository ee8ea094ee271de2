//! What accounts show, and strangers.

use bytes::Bytes;
use wello_store::{
    ArchiveId, Listed, PrivacyChoice, QuarantineLimits, StrangerPolicy, StrangerVerdict, Viewers,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at};

pub(crate) async fn choices(database: &Database) {
    let privacy = &database.store.privacy;
    assert_eq!(privacy.choice(ROMEO).await.unwrap(), None);
    let choice = PrivacyChoice {
        presence: Some(Viewers::Nobody),
        last_seen: None,
        strangers: Some(StrangerPolicy::Quarantine),
        listed_as: Some("Romeo ü".to_owned()),
    };
    privacy.choose(ROMEO, &choice).await.unwrap();
    assert_eq!(privacy.choice(ROMEO).await.unwrap(), Some(choice.clone()));
    assert_eq!(privacy.choice(JULIET).await.unwrap(), None);
    let found = async |domain| privacy.listed(domain, 10).await.unwrap();
    let romeo = Listed { account: ROMEO.to_owned(), name: "Romeo ü".to_owned() };
    assert_eq!(found("montague.example").await, [romeo]);
    assert_eq!(found("tague.example").await, []);
    assert_eq!(found("montague_example").await, []);
    privacy.choose(ROMEO, &PrivacyChoice { listed_as: None, ..choice }).await.unwrap();
    assert_eq!(found("montague.example").await, []);
}

pub(crate) async fn strangers(database: &Database) {
    let privacy = &database.store.privacy;
    let limits = QuarantineLimits { strangers: 1, messages: 2 };
    let id = |seconds| ArchiveId::at(at(seconds));
    let hold = async |peer, seconds| {
        privacy.hold(ROMEO, peer, id(seconds), at(seconds), limits).await.unwrap()
    };
    assert!(hold(NURSE, 1).await && hold(NURSE, 2).await);
    assert!(!hold(NURSE, 3).await, "two messages of one stranger");
    assert!(!hold("tybalt@x", 3).await, "one stranger");
    let held = privacy.held(ROMEO).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].peer.as_str(), held[0].since), (NURSE, at(1)));
    assert_eq!(held[0].held, [id(1), id(2)]);
    assert_eq!(privacy.held(JULIET).await.unwrap(), []);

    let decide = async |peer, verdict| privacy.decide(ROMEO, peer, verdict, at(4)).await.unwrap();
    assert_eq!(decide(NURSE, StrangerVerdict::Accepted).await, [id(1), id(2)]);
    assert_eq!(decide(NURSE, StrangerVerdict::Refused).await, []);
    assert!(!hold(NURSE, 5).await, "something has been decided");
    let stranger = privacy.stranger(ROMEO, NURSE).await.unwrap().unwrap();
    assert_eq!((stranger.verdict, stranger.since), (StrangerVerdict::Refused, at(4)));
    assert!(hold("tybalt@x", 6).await);
    assert_eq!(privacy.stranger(JULIET, NURSE).await.unwrap(), None);
}

/// What the migration does with vCards that a former version stored as documents.
pub(crate) async fn vcards_become_items(database: &Database) {
    let migration = match database.is_sqlite() {
        true => include_str!("../../../../migrations/sqlite/0009_privacy.sql"),
        false => include_str!("../../../../migrations/postgres/0009_privacy.sql"),
    };
    let (_, moving) = migration.split_once("-- vCards of").unwrap();
    let (_, moving) = moving.split_once(".\n").unwrap();
    let blob = |text: &str| match database.is_sqlite() {
        true => format!("CAST('{text}' AS BLOB)"),
        false => format!("'{text}'::bytea"),
    };
    for account in [ROMEO, JULIET] {
        let insert = format!(
            "INSERT INTO document (account, kind, namespace, name, xml)
                VALUES ('{account}', 'vcard4', '', '', {})",
            blob("<vcard/>")
        );
        database.execute(&insert).await;
    }
    for statement in moving.split(';').filter(|statement| !statement.trim().is_empty()) {
        database.execute(statement).await;
    }
    let store = &database.store;
    for account in [ROMEO, JULIET] {
        let node = store.pubsub.node(account, "urn:xmpp:vcard4").await.unwrap().unwrap();
        let item = store.pubsub.last_item(node.id).await.unwrap().unwrap();
        assert_eq!((item.id.as_str(), item.publisher.as_str()), ("current", account));
        assert_eq!(item.payload, Some(Bytes::from_static(b"<vcard/>")));
        assert_eq!(store.documents.list(account).await.unwrap(), []);
    }
}
