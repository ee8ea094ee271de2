use bytes::Bytes;
use wello_store::{
    REMEMBERED_REMOVALS, RosterChange, RosterItem, RosterUpdate, RosterVersion, Subscription,
    SubscriptionRequest,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO};

const NEVER: RosterVersion = RosterVersion(0);

fn item(jid: &str, name: &str) -> RosterItem {
    RosterItem {
        jid: jid.to_owned(),
        name: Some(name.to_owned()),
        groups: vec!["Friends".to_owned(), "\"Fair\" Verona".to_owned()],
        subscription: Subscription::To,
        ask: true,
        approved: true,
    }
}

fn stored(version: u64) -> RosterUpdate {
    RosterUpdate::Stored(RosterVersion(version))
}

pub(crate) async fn changed_with_versions(database: &Database) {
    let roster = &database.store.roster;
    assert_eq!(roster.load(ROMEO).await.unwrap(), wello_store::Roster::default());
    assert_eq!(roster.set(ROMEO, &item(JULIET, "J"), NEVER).await.unwrap(), stored(1));
    assert_eq!(roster.set(ROMEO, &item(NURSE, "N"), NEVER).await.unwrap(), stored(2));
    let loaded = roster.load(ROMEO).await.unwrap();
    assert_eq!(loaded.version, RosterVersion(2));
    assert_eq!(loaded.items, [item(JULIET, "J"), item(NURSE, "N")]);

    let plain = RosterItem { jid: JULIET.to_owned(), ..RosterItem::default() };
    assert_eq!(roster.set(ROMEO, &plain, RosterVersion(1)).await.unwrap(), stored(3));
    let entry = roster.entry(ROMEO, JULIET).await.unwrap();
    assert_eq!((entry.item, entry.version), (Some(plain), RosterVersion(3)));
    assert_eq!(roster.remove(ROMEO, JULIET, RosterVersion(3)).await.unwrap(), stored(4));
    let entry = roster.entry(ROMEO, JULIET).await.unwrap();
    assert_eq!((entry.item, entry.version), (None, RosterVersion(4)));
    assert_eq!(roster.load(ROMEO).await.unwrap().items, [item(NURSE, "N")]);
    assert_eq!(roster.set(ROMEO, &item(JULIET, "J"), RosterVersion(4)).await.unwrap(), stored(5));
    assert_eq!(roster.load(JULIET).await.unwrap().items, []);
}

pub(crate) async fn conflicting_changes_are_refused(database: &Database) {
    let roster = &database.store.roster;
    roster.set(ROMEO, &item(JULIET, "J"), NEVER).await.unwrap();
    let late = roster.set(ROMEO, &item(JULIET, "late"), NEVER).await.unwrap();
    assert_eq!(late, RosterUpdate::Conflict);
    assert_eq!(roster.remove(ROMEO, JULIET, NEVER).await.unwrap(), RosterUpdate::Conflict);
    let loaded = roster.load(ROMEO).await.unwrap();
    assert_eq!((loaded.version, loaded.items), (RosterVersion(1), vec![item(JULIET, "J")]));
    // Nothing to remove: no conflict, no new version.
    assert_eq!(roster.remove(ROMEO, NURSE, NEVER).await.unwrap(), stored(1));
}

pub(crate) async fn changes_since_a_version(database: &Database) {
    let roster = &database.store.roster;
    let since = async |version| roster.changes_since(ROMEO, RosterVersion(version)).await.unwrap();
    assert_eq!(since(0).await.unwrap().changes, []);
    assert_eq!(since(1).await, None);
    roster.set(ROMEO, &item(JULIET, "J"), NEVER).await.unwrap();
    roster.set(ROMEO, &item(NURSE, "N"), NEVER).await.unwrap();
    roster.set(ROMEO, &item(NURSE, "NN"), RosterVersion(2)).await.unwrap();
    roster.remove(ROMEO, JULIET, RosterVersion(1)).await.unwrap();

    let changes = since(1).await.unwrap();
    assert_eq!(changes.version, RosterVersion(4));
    let nurse = (RosterVersion(3), RosterChange::Set(item(NURSE, "NN")));
    let juliet = (RosterVersion(4), RosterChange::Removed(JULIET.to_owned()));
    assert_eq!(changes.changes, [nurse, juliet.clone()]);
    assert_eq!(since(3).await.unwrap().changes, [juliet]);
    assert_eq!(since(4).await.unwrap().changes, []);
    assert_eq!(since(4).await.unwrap().version, RosterVersion(4));
    assert_eq!(since(5).await, None);
}

pub(crate) async fn removals_are_forgotten_at_last(database: &Database) {
    let roster = &database.store.roster;
    let removals = u64::from(REMEMBERED_REMOVALS) + 2;
    for number in 0..removals {
        let contact = item(&format!("c{number}@x.example"), "c");
        let added = roster.set(ROMEO, &contact, NEVER).await.unwrap();
        let RosterUpdate::Stored(version) = added else { panic!("conflict") };
        roster.remove(ROMEO, &contact.jid, version).await.unwrap();
    }
    // The second removal, of version 4, is the newest that is forgotten.
    assert_eq!(roster.changes_since(ROMEO, RosterVersion(3)).await.unwrap(), None);
    let changes = roster.changes_since(ROMEO, RosterVersion(4)).await.unwrap().unwrap();
    assert_eq!(changes.changes.len() as u64, removals - 2);
    assert_eq!(changes.version, RosterVersion(2 * removals));
    assert_eq!(database.rows("roster_item").await, removals - 2);
}

pub(crate) async fn concurrent_changes_get_versions_of_their_own(database: &Database) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let roster = database.store.roster.clone();
        tasks.spawn(async move {
            let contact = item(&format!("c{number}@x.example"), "c");
            roster.set(ROMEO, &contact, NEVER).await.unwrap()
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|answer| match answer {
        RosterUpdate::Stored(version) => version.0,
        RosterUpdate::Conflict => 0,
    });
    assert_eq!(answers, (1..=20).map(stored).collect::<Vec<_>>());

    let roster = &database.store.roster;
    let version = roster.entry(ROMEO, "c0@x.example").await.unwrap().version;
    let (one, other) = (item("c0@x.example", "one"), item("c0@x.example", "other"));
    let (one, other) =
        tokio::join!(roster.set(ROMEO, &one, version), roster.set(ROMEO, &other, version),);
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|answer| *answer == RosterUpdate::Conflict);
    assert_eq!(both, [stored(21), RosterUpdate::Conflict]);
}

pub(crate) async fn requests_wait_in_order(database: &Database) {
    let roster = &database.store.roster;
    let request = |contact: &str, text: &'static str| SubscriptionRequest {
        contact: contact.to_owned(),
        stanza: Bytes::from_static(text.as_bytes()),
    };
    roster.add_request(ROMEO, &request(NURSE, "<presence/>")).await.unwrap();
    roster.add_request(ROMEO, &request(JULIET, "<presence id='1'/>")).await.unwrap();
    roster.add_request(ROMEO, &request(NURSE, "<presence id='2'/>")).await.unwrap();
    let expected = [request(NURSE, "<presence id='2'/>"), request(JULIET, "<presence id='1'/>")];
    assert_eq!(roster.requests(ROMEO).await.unwrap(), expected);
    assert!(roster.remove_request(ROMEO, NURSE).await.unwrap());
    assert!(!roster.remove_request(ROMEO, NURSE).await.unwrap());
    assert_eq!(roster.requests(ROMEO).await.unwrap(), expected[1..]);
    assert_eq!(roster.requests(JULIET).await.unwrap(), []);
}
