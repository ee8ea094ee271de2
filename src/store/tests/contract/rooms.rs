//! Persistent rooms.

use bytes::Bytes;
use wello_store::{AffiliatedRoom, RoomAffiliation, StoredAffiliation, StoredRoom};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at};

const ROOM: &str = "balcony@conference.capulet.example";

fn room(jid: &str, created: i64, version: i64) -> StoredRoom {
    StoredRoom {
        jid: jid.to_owned(),
        created,
        version,
        listed: true,
        name: format!("Balcony {version}"),
        description: "What light?".to_owned(),
        settings: "{\"moderated\":true}".to_owned(),
        subject: Some(Bytes::from_static(b"<message/>")),
    }
}

fn affiliation(jid: &str, affiliation: RoomAffiliation, version: i64) -> StoredAffiliation {
    StoredAffiliation { jid: jid.to_owned(), affiliation, nick: Some(jid.to_uppercase()), version }
}

pub(crate) async fn rooms_are_made_changed_and_destroyed(database: &Database) {
    let rooms = &database.store.rooms;
    assert_eq!(rooms.load(ROOM).await.unwrap(), None);
    assert!(!rooms.update(&room(ROOM, 1, 1), &[]).await.unwrap());
    let owner = affiliation(JULIET, RoomAffiliation::Owner, 1);
    rooms.create(&room(ROOM, 1, 1), std::slice::from_ref(&owner)).await.unwrap();
    assert_eq!(rooms.load(ROOM).await.unwrap(), Some((room(ROOM, 1, 1), vec![owner.clone()])));
    let member = affiliation(ROMEO, RoomAffiliation::Member, 2);
    assert!(rooms.update(&room(ROOM, 1, 2), std::slice::from_ref(&member)).await.unwrap());
    assert_eq!(rooms.load(ROOM).await.unwrap(), Some((room(ROOM, 1, 2), vec![owner, member])));
    assert_eq!(rooms.count().await.unwrap(), 1);
    assert!(!rooms.delete(ROOM, 2).await.unwrap());
    assert!(rooms.delete(ROOM, 1).await.unwrap());
    assert_eq!(rooms.load(ROOM).await.unwrap(), None);
    assert_eq!(database.rows("room_affiliation").await, 0);
}

pub(crate) async fn older_changes_of_rooms_come_too_late(database: &Database) {
    let rooms = &database.store.rooms;
    rooms.create(&room(ROOM, 5, 1), &[]).await.unwrap();
    let member = affiliation(ROMEO, RoomAffiliation::Member, 3);
    rooms.update(&room(ROOM, 5, 3), std::slice::from_ref(&member)).await.unwrap();
    let late = affiliation(ROMEO, RoomAffiliation::Outcast, 2);
    assert!(rooms.update(&room(ROOM, 5, 2), &[late]).await.unwrap());
    assert_eq!(rooms.load(ROOM).await.unwrap(), Some((room(ROOM, 5, 3), vec![member])));
    let of_another = affiliation(NURSE, RoomAffiliation::Owner, 9);
    assert!(!rooms.update(&room(ROOM, 4, 9), &[of_another]).await.unwrap());
    assert_eq!(rooms.load(ROOM).await.unwrap().unwrap().1.len(), 1);
    rooms.create(&room(ROOM, 6, 1), &[]).await.unwrap();
    assert_eq!(rooms.load(ROOM).await.unwrap(), Some((room(ROOM, 6, 1), vec![])));
}

pub(crate) async fn rooms_are_listed_in_pages_by_domain(database: &Database) {
    let rooms = &database.store.rooms;
    for name in ["a", "b", "c"] {
        rooms.create(&room(&format!("{name}@rooms.example"), 1, 1), &[]).await.unwrap();
    }
    let hidden = StoredRoom { listed: false, ..room("h@rooms.example", 1, 1) };
    rooms.create(&hidden, &[]).await.unwrap();
    rooms.create(&room("a@other.example", 1, 1), &[]).await.unwrap();
    let listed = async |after, limit| -> Vec<String> {
        let rooms = rooms.listed("rooms.example", after, limit).await.unwrap();
        rooms.into_iter().map(|room| room.jid).collect()
    };
    assert_eq!(listed("", 2).await, ["a@rooms.example", "b@rooms.example"]);
    assert_eq!(listed("b@rooms.example", 2).await, ["c@rooms.example"]);
    let all = rooms.of_domain("rooms.example", "b@rooms.example", 2).await.unwrap();
    assert_eq!(all, [room("c@rooms.example", 1, 1), hidden]);
}

pub(crate) async fn affiliations_are_found_and_pruned(database: &Database) {
    let rooms = &database.store.rooms;
    let second = "tomb@conference.capulet.example";
    let of = |kind| affiliation(ROMEO, kind, 1);
    rooms.create(&room(ROOM, 1, 1), &[of(RoomAffiliation::Member)]).await.unwrap();
    rooms.create(&room(second, 1, 1), &[of(RoomAffiliation::Outcast)]).await.unwrap();
    let found = |seen| {
        let (jid, affiliation) = (ROOM.to_owned(), RoomAffiliation::Member);
        [AffiliatedRoom { jid, affiliation, seen }]
    };
    assert_eq!(rooms.affiliated(ROMEO).await.unwrap(), found(None));
    for second in [7, 5] {
        rooms.set_seen(ROOM, ROMEO, at(second)).await.unwrap();
    }
    assert_eq!(rooms.affiliated(ROMEO).await.unwrap(), found(Some(at(7))));
    rooms
        .update(&room(ROOM, 1, 2), &[affiliation(ROMEO, RoomAffiliation::Member, 2)])
        .await
        .unwrap();
    assert_eq!(rooms.affiliated(ROMEO).await.unwrap(), found(Some(at(7))));
    let gone = [
        affiliation(JULIET, RoomAffiliation::None, 2),
        affiliation(NURSE, RoomAffiliation::None, 3),
    ];
    rooms.update(&room(ROOM, 1, 3), &gone).await.unwrap();
    assert_eq!(rooms.prune(ROOM, 2).await.unwrap(), 1);
    assert_eq!(rooms.load(ROOM).await.unwrap().unwrap().1.len(), 2);
}
