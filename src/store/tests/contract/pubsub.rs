use bytes::Bytes;
use wello_store::{
    Affiliation, ItemPage, Items, NewNode, NodeCreation, NodeId, NodeRelation, NodeSubscription,
    PubSubItem, PubSubNode, Publication, Room, Store, SubscriptionOptions, SubscriptionState,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at};

const NODES: u64 = 3;

fn new_node(service: &str, name: &str) -> NewNode {
    NewNode {
        service: service.to_owned(),
        name: name.to_owned(),
        creator: ROMEO.to_owned(),
        created: at(0),
        config: Bytes::from_static(b"<x/>"),
        owner: Some(ROMEO.to_owned()),
    }
}

pub(crate) async fn node(store: &Store, service: &str, name: &str) -> PubSubNode {
    match store.pubsub.create_node(&new_node(service, name), NODES).await.unwrap() {
        NodeCreation::Created(node) => node,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn item(id: &str) -> PubSubItem {
    PubSubItem {
        id: id.to_owned(),
        publisher: ROMEO.to_owned(),
        time: at(1),
        payload: Some(Bytes::from(format!("<p>{id}</p>"))),
    }
}

pub(crate) fn subscription(jid: &str, state: SubscriptionState) -> NodeSubscription {
    let bare = jid.split('/').next().unwrap().to_owned();
    let options = SubscriptionOptions::default();
    NodeSubscription { jid: jid.to_owned(), bare, state, options }
}

fn room(items: u64) -> Room {
    Room { items, reject: false, bytes: 1_000_000 }
}

async fn publish(store: &Store, node: NodeId, id: &str, room: Room) -> Publication {
    store.pubsub.publish(node, &item(id), room).await.unwrap()
}

fn ids(items: &Items) -> Vec<&str> {
    items.items.iter().map(|item| item.id.as_str()).collect()
}

pub(crate) async fn nodes(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let first = node(store, "pubsub.x", "a").await;
    assert_eq!(pubsub.node("pubsub.x", "a").await.unwrap(), Some(first.clone()));
    assert_eq!(pubsub.node("pubsub.y", "a").await.unwrap(), None);
    let again = pubsub.create_node(&new_node("pubsub.x", "a"), NODES).await.unwrap();
    assert_eq!(again, NodeCreation::Exists);
    node(store, "pubsub.x", "c").await;
    node(store, "pubsub.x", "b").await;
    let full = pubsub.create_node(&new_node("pubsub.x", "d"), NODES).await.unwrap();
    assert_eq!(full, NodeCreation::TooMany);
    // At another service there is room.
    node(store, "pubsub.y", "d").await;
    let names = |nodes: Vec<PubSubNode>| nodes.into_iter().map(|n| n.name).collect::<Vec<_>>();
    assert_eq!(names(pubsub.nodes("pubsub.x", "", 10).await.unwrap()), ["a", "b", "c"]);
    assert_eq!(names(pubsub.nodes("pubsub.x", "a", 1).await.unwrap()), ["b"]);

    let config = Bytes::from_static(b"<y/>");
    assert!(pubsub.configure_node(first.id, &config, 10).await.unwrap());
    assert_eq!(pubsub.node("pubsub.x", "a").await.unwrap().unwrap().config, config);
    publish(store, first.id, "1", room(1)).await;
    assert!(pubsub.delete_node(first.id).await.unwrap());
    assert!(!pubsub.delete_node(first.id).await.unwrap());
    assert!(!pubsub.configure_node(first.id, &config, 10).await.unwrap());
    let late = publish(store, first.id, "2", room(1)).await;
    assert_eq!(late, Publication::NoNode);
    // A node of the same name begins empty.
    let second = node(store, "pubsub.x", "a").await;
    assert_ne!(second.id, first.id);
    assert_eq!(database.rows("pubsub_item").await, 0);
    let affiliations = pubsub.affiliations(second.id).await.unwrap();
    assert_eq!(affiliations, [(ROMEO.to_owned(), Affiliation::Owner)]);
}

pub(crate) async fn affiliations(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let node = node(store, "pubsub.x", "a").await.id;
    let set = |jid: &str, affiliation| vec![(jid.to_owned(), affiliation)];
    assert!(pubsub.affiliate(node, &set(JULIET, Some(Affiliation::Member)), 3).await.unwrap());
    assert!(pubsub.affiliate(node, &set(NURSE, Some(Affiliation::Outcast)), 3).await.unwrap());
    let fourth = set("d@x", Some(Affiliation::Publisher));
    assert!(!pubsub.affiliate(node, &fourth, 3).await.unwrap());
    assert!(pubsub.affiliate(node, &set(NURSE, None), 3).await.unwrap());
    let only = Some(Affiliation::PublishOnly);
    assert!(pubsub.affiliate(node, &set(JULIET, only), 3).await.unwrap());
    let all = pubsub.affiliations(node).await.unwrap();
    let expected =
        [(JULIET, Affiliation::PublishOnly), (ROMEO, Affiliation::Owner)].map(owned_pair);
    assert_eq!(all, expected);
    let mine = pubsub.affiliations_of("pubsub.x", JULIET).await.unwrap();
    assert_eq!(mine, [("a", Affiliation::PublishOnly)].map(owned_pair));
    assert_eq!(pubsub.affiliations_of("pubsub.y", JULIET).await.unwrap(), []);
    let relation = pubsub.relation(node, JULIET, at(0)).await.unwrap();
    assert_eq!(relation, NodeRelation { affiliation: only, subscriptions: Vec::new() });
    assert_eq!(pubsub.relation(node, NURSE, at(0)).await.unwrap(), NodeRelation::default());
}

fn owned_pair(pair: (&str, Affiliation)) -> (String, Affiliation) {
    (pair.0.to_owned(), pair.1)
}

pub(crate) async fn subscriptions(database: &Database) {
    use SubscriptionState::{Pending, Subscribed};
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let node = node(store, "pubsub.x", "a").await.id;
    let phone = format!("{JULIET}/phone");
    let (bare, full) = (subscription(JULIET, Pending), subscription(&phone, Subscribed));
    assert!(pubsub.subscribe(node, &bare, 2, at(0)).await.unwrap());
    assert!(pubsub.subscribe(node, &full, 2, at(0)).await.unwrap());
    let third = subscription(NURSE, Subscribed);
    assert!(!pubsub.subscribe(node, &third, 2, at(0)).await.unwrap());
    // A change of one that is there needs no room.
    let approved = subscription(JULIET, Subscribed);
    assert!(pubsub.subscribe(node, &approved, 2, at(0)).await.unwrap());
    let all = [approved.clone(), full.clone()];
    assert_eq!(pubsub.subscriptions(node, at(0)).await.unwrap(), all);
    assert_eq!(pubsub.relation(node, JULIET, at(0)).await.unwrap().subscriptions, all);
    let mine = pubsub.subscriptions_of("pubsub.x", JULIET, at(0)).await.unwrap();
    assert_eq!(mine, [("a".to_owned(), approved), ("a".to_owned(), full)]);
    assert_eq!(pubsub.subscriptions_of("pubsub.x", NURSE, at(0)).await.unwrap(), []);
    assert!(pubsub.unsubscribe(node, &phone).await.unwrap());
    assert!(!pubsub.unsubscribe(node, &phone).await.unwrap());
    assert_eq!(pubsub.subscriptions(node, at(0)).await.unwrap().len(), 1);
}

pub(crate) async fn subscription_options(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let node = node(store, "pubsub.x", "a").await.id;
    let options = SubscriptionOptions { deliver: false, expires: Some(at(60)) };
    let leased =
        NodeSubscription { options, ..subscription(JULIET, SubscriptionState::Subscribed) };
    assert!(pubsub.subscribe(node, &leased, 1, at(0)).await.unwrap());
    assert_eq!(pubsub.subscriptions(node, at(59)).await.unwrap(), [leased]);
    assert_eq!(pubsub.subscriptions(node, at(60)).await.unwrap(), []);
    assert_eq!(pubsub.relation(node, JULIET, at(60)).await.unwrap(), NodeRelation::default());
    assert_eq!(pubsub.subscriptions_of("pubsub.x", JULIET, at(60)).await.unwrap(), []);
    // What has ended takes no room.
    let other = subscription(NURSE, SubscriptionState::Subscribed);
    assert!(!pubsub.subscribe(node, &other, 1, at(59)).await.unwrap());
    assert!(pubsub.subscribe(node, &other, 1, at(60)).await.unwrap());
    assert_eq!(pubsub.subscriptions(node, at(0)).await.unwrap(), [other]);
}

pub(crate) async fn items_are_kept_in_the_order_of_publication(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let node = node(store, "pubsub.x", "a").await.id;
    let room = room(3);
    for id in ["1", "2", "3"] {
        assert_eq!(publish(store, node, id, room).await, Publication::Stored(Vec::new()));
    }
    // Publishing again makes it the newest, and takes no room.
    assert_eq!(publish(store, node, "1", room).await, Publication::Stored(Vec::new()));
    let gone = Publication::Stored(vec!["2".to_owned()]);
    assert_eq!(publish(store, node, "4", room).await, gone);
    assert_eq!(pubsub.item_ids(node, 10).await.unwrap(), ["3", "1", "4"]);
    assert_eq!(pubsub.item_ids(node, 1).await.unwrap(), ["4"]);
    assert_eq!(pubsub.last_item(node).await.unwrap(), Some(item("4")));
    let reject = Room { reject: true, ..room };
    assert_eq!(publish(store, node, "5", reject).await, Publication::Full);
    assert_eq!(publish(store, node, "3", reject).await, Publication::Stored(Vec::new()));
    let empty = PubSubItem { payload: None, ..item("1") };
    pubsub.publish(node, &empty, room).await.unwrap();
    let wanted = ["1", "9", "4"].map(str::to_owned);
    let found = pubsub.items_by_id(node, &wanted, 1000).await.unwrap();
    assert_eq!(found, [empty.clone(), item("4")]);
    assert_eq!(pubsub.items_by_id(node, &wanted, 1).await.unwrap(), [empty]);
    assert!(pubsub.retract(node, "4").await.unwrap());
    assert!(!pubsub.retract(node, "4").await.unwrap());
    assert!(pubsub.configure_node(node, &Bytes::new(), 1).await.unwrap());
    assert_eq!(pubsub.item_ids(node, 10).await.unwrap(), ["1"]);
    assert_eq!(pubsub.purge(node).await.unwrap(), 1);
    assert_eq!(pubsub.purge(node).await.unwrap(), 0);
    assert_eq!(pubsub.last_item(node).await.unwrap(), None);
}

pub(crate) async fn items_are_read_in_pages(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let node = node(store, "pubsub.x", "a").await.id;
    for id in ["1", "2", "3", "4", "5"] {
        publish(store, node, id, room(9)).await;
    }
    let all = ItemPage { max: 10, max_bytes: 10_000, ..ItemPage::default() };
    let id = |id: &str| Some(id.to_owned());
    for (page, expected, index) in [
        (all.clone(), &["1", "2", "3", "4", "5"][..], 0),
        (ItemPage { max: 2, ..all.clone() }, &["1", "2"], 0),
        (ItemPage { max: 2, after: id("2"), ..all.clone() }, &["3", "4"], 2),
        (ItemPage { max: 2, backwards: true, ..all.clone() }, &["4", "5"], 3),
        (ItemPage { max: 2, backwards: true, before: id("4"), ..all.clone() }, &["2", "3"], 1),
        (ItemPage { max: 2, skip: 3, ..all.clone() }, &["4", "5"], 3),
        (ItemPage { max: 0, ..all.clone() }, &[], 0),
        // One at least, however big.
        (ItemPage { max_bytes: 1, ..all.clone() }, &["1"], 0),
        (ItemPage { max_bytes: 20, backwards: true, ..all.clone() }, &["4", "5"], 3),
    ] {
        let items = pubsub.items(node, &page).await.unwrap().unwrap();
        assert_eq!(ids(&items), expected, "{page:?}");
        assert_eq!((items.index, items.count), (index, 5), "{page:?}");
    }
    let unknown = ItemPage { after: id("9"), ..all };
    assert_eq!(pubsub.items(node, &unknown).await.unwrap(), None);
}

pub(crate) async fn bytes_are_limited_for_each_creator(database: &Database) {
    let (store, pubsub) = (&database.store, &database.store.pubsub);
    let (a, b) = (node(store, "pubsub.x", "a").await.id, node(store, "pubsub.x", "b").await.id);
    let elsewhere = node(store, "pubsub.y", "a").await.id;
    let room = Room { items: 9, reject: false, bytes: 20 };
    let sized = |id: &str, bytes: usize| PubSubItem {
        payload: Some(Bytes::from(vec![b'x'; bytes])),
        ..item(id)
    };
    let stored = Publication::Stored(Vec::new());
    let publish = async |node, item| pubsub.publish(node, &item, room).await.unwrap();
    assert_eq!(publish(a, sized("1", 10)).await, stored);
    assert_eq!(publish(b, sized("1", 10)).await, stored);
    assert_eq!(publish(b, sized("2", 1)).await, Publication::TooMuch);
    assert_eq!(publish(b, sized("1", 11)).await, Publication::TooMuch);
    assert_eq!(pubsub.item_ids(b, 9).await.unwrap(), ["1"]);
    assert_eq!(publish(elsewhere, sized("1", 20)).await, stored);
    // Replacing, retracting and purging give room back.
    assert_eq!(publish(b, sized("1", 4)).await, stored);
    assert_eq!(publish(b, sized("2", 6)).await, stored);
    assert!(pubsub.retract(a, "1").await.unwrap());
    assert_eq!(publish(a, sized("2", 10)).await, stored);
    pubsub.purge(b).await.unwrap();
    assert_eq!(publish(a, sized("3", 10)).await, stored);
    assert_eq!(publish(a, sized("4", 1)).await, Publication::TooMuch);
    pubsub.configure_node(a, &Bytes::new(), 1).await.unwrap();
    assert_eq!(publish(b, sized("1", 10)).await, stored);
}
