//! The domains of a few lines each, and opening and closing.

use bytes::Bytes;
use wello_store::{
    AuditEntry, BlockFeed, DocumentKey, HibernatedSession, LastActivity, Options, Report,
    StoreError,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, append, at, chat, options};

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn strings(jids: &[&str]) -> Vec<String> {
    jids.iter().map(|jid| (*jid).to_owned()).collect()
}

pub(crate) async fn audit(database: &Database) {
    let audit = &database.store.audit;
    let entry = |second, action: &str| AuditEntry {
        time: at(second),
        actor: NURSE.to_owned(),
        origin: "192.0.2.1".to_owned(),
        action: action.to_owned(),
        target: ROMEO.to_owned(),
        outcome: "done".to_owned(),
    };
    for (second, action) in [(1, "add"), (2, "disable"), (3, "delete")] {
        audit.append(&entry(second, action)).await.unwrap();
    }
    let list = async |since, before, limit| {
        let listed = audit.list(at(since), before, limit).await.unwrap();
        listed.into_iter().map(|(id, entry)| (id, entry.action)).collect::<Vec<_>>()
    };
    let newest = list(0, None, 2).await;
    assert_eq!((newest[0].1.as_str(), newest[1].1.as_str()), ("delete", "disable"));
    assert_eq!(list(0, Some(newest[1].0), 10).await[0].1, "add");
    assert_eq!(list(2, None, 10).await, newest);
    let all = audit.list(at(3), None, 10).await.unwrap();
    assert_eq!(all[0].1, entry(3, "delete"));
    assert_eq!(audit.expire(at(3)).await.unwrap(), 2);
    assert_eq!(list(0, None, 10).await.len(), 1);
}

pub(crate) async fn block_feeds(database: &Database) {
    let feeds = &database.store.block_feeds;
    let feed =
        |node: &str| BlockFeed { service: "lists.example".to_owned(), node: node.to_owned() };
    let (hashes, domains) = (feed("hashes"), feed("domains"));
    let items = async |feed| {
        let mut items = feeds.items(feed).await.unwrap();
        items.sort();
        items
    };
    feeds.replace(&hashes, &strings(&["a", "b"])).await.unwrap();
    feeds.replace(&domains, &strings(&["spam.example"])).await.unwrap();
    feeds.change(&hashes, &strings(&["b", "c"]), &strings(&["a", "x"])).await.unwrap();
    assert_eq!(items(&hashes).await, ["b", "c"]);
    feeds.replace(&hashes, &strings(&["d"])).await.unwrap();
    assert_eq!(items(&hashes).await, ["d"]);
    feeds.keep_only(std::slice::from_ref(&domains)).await.unwrap();
    assert_eq!(items(&hashes).await, [""; 0]);
    assert_eq!(items(&domains).await, ["spam.example"]);
}

pub(crate) async fn blocking(database: &Database) {
    let blocking = &database.store.blocking;
    let both = strings(&["spam.example", NURSE]);
    assert_eq!(blocking.add(ROMEO, &both).await.unwrap(), 2);
    assert_eq!(blocking.add(ROMEO, &strings(&[NURSE, JULIET])).await.unwrap(), 1);
    blocking.add(JULIET, &strings(&[ROMEO])).await.unwrap();
    assert_eq!(blocking.list(ROMEO).await.unwrap(), [JULIET, NURSE, "spam.example"]);
    assert_eq!(blocking.remove(ROMEO, &strings(&[NURSE, "else"])).await.unwrap(), 1);
    assert_eq!(blocking.list(ROMEO).await.unwrap(), [JULIET, "spam.example"]);
    assert_eq!(blocking.clear(ROMEO).await.unwrap(), 2);
    assert_eq!(blocking.list(ROMEO).await.unwrap(), [""; 0]);
    assert_eq!(blocking.list(JULIET).await.unwrap(), [ROMEO]);
}

pub(crate) async fn documents(database: &Database) {
    let documents = &database.store.documents;
    let private = |namespace: &str| DocumentKey::Private {
        namespace: namespace.to_owned(),
        name: "storage".to_owned(),
    };
    let (notes, bookmarks) = (private("storage:rosternotes"), private("storage:bookmarks"));
    for (key, xml) in [
        (&DocumentKey::VCardTemp, "<vCard/>"),
        (&notes, "<storage>old</storage>"),
        (&notes, "<storage>new ü</storage>"),
    ] {
        documents.set(ROMEO, key, &bytes(xml)).await.unwrap();
    }
    let get = async |account, key| documents.get(account, key).await.unwrap();
    assert_eq!(get(ROMEO, &DocumentKey::VCardTemp).await, Some(bytes("<vCard/>")));
    assert_eq!(get(ROMEO, &notes).await, Some(bytes("<storage>new ü</storage>")));
    assert_eq!(get(ROMEO, &bookmarks).await, None);
    assert_eq!(get(JULIET, &notes).await, None);
    let list = documents.list(ROMEO).await.unwrap();
    assert_eq!(list.len(), 2);
    assert!(list.contains(&(notes.clone(), bytes("<storage>new ü</storage>"))));
    assert!(documents.remove(ROMEO, &notes).await.unwrap());
    assert!(!documents.remove(ROMEO, &notes).await.unwrap());
    assert_eq!(get(ROMEO, &notes).await, None);
}

pub(crate) async fn last(database: &Database) {
    let last = &database.store.last;
    assert_eq!(last.get(ROMEO).await.unwrap(), None);
    for (second, status) in [(1, None), (2, Some("Heading home".to_owned()))] {
        let activity = LastActivity { at: at(second), status };
        last.set(ROMEO, &activity).await.unwrap();
        assert_eq!(last.get(ROMEO).await.unwrap(), Some(activity));
    }
}

pub(crate) async fn meta(database: &Database) {
    let meta = &database.store.meta;
    assert_eq!(meta.get("secret").await.unwrap(), None);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..10u8 {
        let meta = meta.clone();
        let value = Bytes::from(vec![number; 32]);
        tasks.spawn(async move { meta.get_or_insert("secret", &value).await.unwrap() });
    }
    let values = tasks.join_all().await;
    let stored = meta.get("secret").await.unwrap().unwrap();
    assert!(values.iter().all(|value| *value == stored));
    meta.set("secret", &bytes("new")).await.unwrap();
    assert_eq!(meta.get_or_insert("secret", &bytes("late")).await.unwrap(), bytes("new"));
}

pub(crate) async fn caps(database: &Database) {
    let few = Options { caps_entries: 3, ..options() };
    let store = database.again(&few).await;
    for hash in ["a", "b", "b", "b", "c", "d"] {
        store.caps.put(hash, &Bytes::from(format!("<query node='{hash}'/>"))).await.unwrap();
    }
    store.caps.put("b", &bytes("other")).await.unwrap();
    assert_eq!(store.caps.get("a").await.unwrap(), None);
    for hash in ["b", "c", "d"] {
        let expected = Bytes::from(format!("<query node='{hash}'/>"));
        assert_eq!(store.caps.get(hash).await.unwrap(), Some(expected), "{hash}");
    }
    store.close().await;
}

pub(crate) async fn reports(database: &Database) {
    let reports = &database.store.reports;
    let report = |second| Report {
        reporter: ROMEO.to_owned(),
        reported: "spammer@spam.example/bot".to_owned(),
        reason: "urn:xmpp:reporting:spam".to_owned(),
        text: Some(format!("the {second}. time")),
        evidence: bytes("<report/>"),
        time: at(second),
    };
    let mut ids = Vec::new();
    for second in 0..5 {
        ids.push(reports.append(&report(second)).await.unwrap());
    }
    let newest = reports.list(None, 2).await.unwrap();
    assert_eq!(newest, [(ids[4], report(4)), (ids[3], report(3))]);
    let older = reports.list(Some(ids[3]), 10).await.unwrap();
    assert_eq!(older, [(ids[2], report(2)), (ids[1], report(1)), (ids[0], report(0))]);
    assert!(reports.remove(ids[2]).await.unwrap());
    assert!(!reports.remove(ids[2]).await.unwrap());
    assert_eq!(reports.list(None, 10).await.unwrap().len(), 4);
}

pub(crate) async fn sessions(database: &Database) {
    let sessions = &database.store.sessions;
    let session = |id: &str, second, state: &'static str| HibernatedSession {
        resumption_id: id.to_owned(),
        account: ROMEO.to_owned(),
        state: bytes(state),
        expires: at(second),
    };
    let saved = [session("a", 10, "one"), session("b", 20, "two"), session("a", 30, "three")];
    sessions.save_all(&saved).await.unwrap();
    let mut taken = sessions.take_all(at(15)).await.unwrap();
    taken.sort_by(|a, b| a.resumption_id.cmp(&b.resumption_id));
    assert_eq!(taken, [session("a", 30, "three"), session("b", 20, "two")]);
    assert_eq!(sessions.take_all(at(0)).await.unwrap(), []);
    sessions.save_all(&saved[..2]).await.unwrap();
    assert_eq!(sessions.take_all(at(10)).await.unwrap(), [session("b", 20, "two")]);
    assert_eq!(sessions.take_all(at(0)).await.unwrap(), []);
}

pub(crate) async fn closed_stores_say_so(database: &Database) {
    let store = database.again(&options()).await;
    let entry = chat(&store, ROMEO, JULIET, 1, "hi");
    let ticket = store.archive.append(entry.clone()).await.unwrap();
    store.close().await;
    assert!(ticket.is_done());
    ticket.wait().await.unwrap();
    assert!(matches!(store.archive.append(entry).await, Err(StoreError::Closed)));
    assert!(matches!(store.meta.set("k", &bytes("v")).await, Err(StoreError::Closed)));
    assert!(matches!(store.meta.get("k").await, Err(StoreError::Closed)));
}

pub(crate) async fn data_outlives_closing(database: &Database) {
    let store = database.again(&options()).await;
    store.meta.set("k", &bytes("v")).await.unwrap();
    let id = append(&store, chat(&store, ROMEO, JULIET, 1, "hi")).await;
    store.close().await;
    let store = database.again(&options()).await;
    assert_eq!(store.meta.get("k").await.unwrap(), Some(bytes("v")));
    let bounds = store.archive.bounds(ROMEO).await.unwrap().unwrap();
    assert_eq!(bounds.first, (id, at(1)));
    store.close().await;
}

pub(crate) async fn newer_schemas_are_refused(database: &Database) {
    let newer = if database.is_sqlite() { "x'00'" } else { "'\\x00'" };
    database
        .execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (1000, 'from the future', TRUE, {newer}, 0)"
        ))
        .await;
    let Err(error) = database.try_again(&options()).await else { panic!("it was opened") };
    assert!(matches!(error, StoreError::NewerSchema { found: 1000, .. }), "{error}");
    assert!(error.to_string().contains("start a newer program"));
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 1000").await;
}
