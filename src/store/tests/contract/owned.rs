use bytes::Bytes;
use wello_store::{
    Affiliation, ArchivePrefs, Client, DocumentKey, Entry, FastToken, FileHash, HibernatedSession,
    Invite, InviteKind, LastActivity, NewAccount, NewNode, NodeCreation, NodeSubscription,
    PrivacyChoice, PubSubItem, RefreshToken, Role, Room, RoomAffiliation, RosterItem,
    RosterVersion, ScramKeys, Store, StoredAffiliation, StoredRoom, StrangerVerdict,
    SubscriptionOptions, SubscriptionRequest, SubscriptionState, TokenHash,
};

use crate::accounts::new;
use crate::fixture::{Database, JULIET, NURSE, ROMEO, append, at, chat};
use crate::{push, uploads};

pub(crate) async fn deleting_an_account_leaves_nothing(database: &Database) {
    let store = &database.store;
    for account in [ROMEO, JULIET] {
        fill(store, account).await;
    }
    let juliets = owned(database, JULIET).await;
    for column in columns(database).await {
        let name = column.split('.').next_back().unwrap();
        let names_one = ["account", "owner", "inviter", "used_by"].contains(&name);
        assert!(!names_one || juliets.contains(&column), "{column} is not filled by this test");
    }

    assert!(store.accounts.delete(ROMEO, at(100)).await.unwrap());
    database.maintain().await;
    assert_eq!(owned(database, ROMEO).await, [""; 0]);
    assert_eq!(owned(database, JULIET).await, juliets);
    // Of the messages between the two, Juliet keeps hers; Romeo's notes to himself are gone.
    assert_eq!(database.rows("message").await, 2);
    assert_eq!(database.rows("archive_owner").await, 1);
    assert_eq!(database.rows("scram_key").await, 1);
}

/// Puts something into every domain.
async fn fill(store: &Store, account: &str) {
    let keys = ScramKeys {
        mechanism: "SCRAM-SHA-1".to_owned(),
        salt: vec![1],
        iterations: 1,
        stored_key: vec![2],
        server_key: vec![3],
    };
    let mut wanted: NewAccount = new(account);
    wanted.credentials.scram.push(keys);
    store.accounts.create(&wanted).await.unwrap();
    let client = Client { id: "phone".to_owned(), ..Client::default() };
    store.clients.seen(account, &client).await.unwrap();
    let token = FastToken { secret: vec![1], issued: at(0), expires: at(1) };
    store.clients.rotate_fast(account, "phone", "HT-SHA-256-NONE", &token).await.unwrap();
    let refresh = RefreshToken {
        hash: TokenHash([account.as_bytes()[0]; 32]),
        family: account.to_owned(),
        account: account.to_owned(),
        client: None,
        issued: at(0),
        expires: at(1),
    };
    store.refresh_tokens.issue(&refresh).await.unwrap();
    let contact = RosterItem { jid: NURSE.to_owned(), ..RosterItem::default() };
    store.roster.set(account, &contact, RosterVersion(0)).await.unwrap();
    let request =
        SubscriptionRequest { contact: NURSE.to_owned(), stanza: Bytes::from_static(b"<p/>") };
    store.roster.add_request(account, &request).await.unwrap();
    store.blocking.add(account, &["spam.example".to_owned()]).await.unwrap();
    let vcard = Bytes::from_static(b"<vCard/>");
    store.documents.set(account, &DocumentKey::VCardTemp, &vcard).await.unwrap();
    let last = LastActivity { at: at(0), status: None };
    store.last.set(account, &last).await.unwrap();
    store.privacy.choose(account, &PrivacyChoice::default()).await.unwrap();
    let accepted = StrangerVerdict::Accepted;
    store.privacy.decide(account, NURSE, accepted, at(0)).await.unwrap();
    let session = HibernatedSession {
        resumption_id: account.to_owned(),
        account: account.to_owned(),
        state: Bytes::new(),
        expires: at(1),
    };
    store.sessions.save_all(&[session]).await.unwrap();
    pubsub(store, account).await;
    invite(store, account, &format!("by {account}"), NURSE).await;
    invite(store, NURSE, &format!("for {account}"), account).await;
    let jid = format!("{}@rooms.example", account.replace('@', "."));
    let room = StoredRoom { jid, ..StoredRoom::default() };
    let owner = RoomAffiliation::Owner;
    let owner = StoredAffiliation {
        jid: account.to_owned(),
        affiliation: owner,
        ..StoredAffiliation::default()
    };
    store.rooms.create(&room, &[owner]).await.unwrap();
    store.archive.set_prefs(account, &ArchivePrefs::default()).await.unwrap();
    store.push.enable(&push::service(account, "push.example", ""), 1).await.unwrap();
    store.push_devices.register(&push::device(account, "phone", 1), 1).await.unwrap();
    store.push_devices.add_endpoint(&push::endpoint(account, "app", 1), 1, at(0)).await.unwrap();
    uploads::put(
        store,
        &uploads::slot(account, &account.replace('@', "-"), 1, 0),
        &FileHash([1; 32]),
    )
    .await;
    let other = if account == ROMEO { JULIET } else { ROMEO };
    let entry = chat(store, account, other, 5, "x");
    append(store, Entry { offline_for: Some(account.to_owned()), ..entry }).await;
    if account == ROMEO {
        append(store, chat(store, account, account, 6, "note")).await;
    }
}

/// A node of its own with everything, and a subscription elsewhere.
async fn pubsub(store: &Store, account: &str) {
    let new = NewNode {
        service: account.to_owned(),
        name: "node".to_owned(),
        creator: account.to_owned(),
        created: at(0),
        config: Bytes::new(),
        owner: Some(account.to_owned()),
    };
    let created = store.pubsub.create_node(&new, 1).await.unwrap();
    let NodeCreation::Created(own) = created else { panic!("{created:?}") };
    let elsewhere = NewNode {
        service: "pubsub.example".to_owned(),
        name: account.to_owned(),
        creator: NURSE.to_owned(),
        owner: None,
        ..new
    };
    let created = store.pubsub.create_node(&elsewhere, 2).await.unwrap();
    let NodeCreation::Created(other) = created else { panic!("{created:?}") };
    let item = PubSubItem {
        id: "1".to_owned(),
        publisher: account.to_owned(),
        time: at(0),
        payload: None,
    };
    let room = Room { items: 1, reject: false, bytes: 100 };
    store.pubsub.publish(own.id, &item, room).await.unwrap();
    for node in [own.id, other.id] {
        let subscription = NodeSubscription {
            jid: account.to_owned(),
            bare: account.to_owned(),
            state: SubscriptionState::Subscribed,
            options: SubscriptionOptions::default(),
        };
        store.pubsub.subscribe(node, &subscription, 1, at(0)).await.unwrap();
        let member = (account.to_owned(), Some(Affiliation::Member));
        store.pubsub.affiliate(node, &[member], 9).await.unwrap();
    }
}

async fn invite(store: &Store, inviter: &str, token: &str, redeemer: &str) {
    let invite = Invite {
        token: token.to_owned(),
        kind: InviteKind::Contact,
        inviter: Some(inviter.to_owned()),
        domain: "capulet.example".to_owned(),
        username: None,
        role: Role::User,
        created: at(0),
        expires: None,
        uses_left: 1,
        used_by: Vec::new(),
    };
    store.invites.create(&invite).await.unwrap();
    store.invites.redeem(token, redeemer, at(1)).await.unwrap();
}

/// `table.column` wherever the account is named as an owner.
async fn owned(database: &Database, account: &str) -> Vec<String> {
    // Who wrote a message to somebody else stays in that one's archive; a name is not an address.
    let others = ["message.sender", "message.recipient", "pubsub_node.name"];
    let mut found = Vec::new();
    for column in columns(database).await {
        let (table, name) = column.split_once('.').unwrap();
        let sql = format!("SELECT {name} FROM {table} WHERE {name} = '{account}'");
        if !others.contains(&column.as_str()) && !database.texts(&sql).await.is_empty() {
            found.push(column);
        }
    }
    found
}

/// Every column of text, so that a table which is added later is not forgotten.
async fn columns(database: &Database) -> Vec<String> {
    let columns = if database.is_sqlite() {
        "SELECT t.name || '.' || c.name FROM pragma_table_list t, pragma_table_info(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND c.type = 'TEXT' ORDER BY 1"
    } else {
        "SELECT table_name || '.' || column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'text' ORDER BY 1"
    };
    database.texts(columns).await
}
