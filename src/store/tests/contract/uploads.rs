//! Files that accounts upload.

use wello_store::{
    Commit, FileHash, Reservation, Store, Timestamp, Upload, UploadLimits, UploadPurpose,
};

use crate::fixture::{Database, JULIET, ROMEO, at};

const DAY: i64 = 24 * 3600;
const LIMITS: UploadLimits =
    UploadLimits { day_bytes: 100, account_bytes: 150, profile_bytes: 30, open_slots: 3 };
const HASH: FileHash = FileHash([7; 32]);

pub(crate) fn slot(account: &str, token: &str, size: u64, second: i64) -> Upload {
    Upload {
        token: token.to_owned(),
        account: account.to_owned(),
        name: "a file".to_owned(),
        media_type: None,
        size,
        purpose: UploadPurpose::Message,
        created: at(second),
        slot_expires: at(second + 300),
        expires: Some(at(second + 30 * DAY)),
        content: None,
        stored: None,
    }
}

async fn reserve(store: &Store, upload: &Upload) -> Reservation {
    store.uploads.reserve(upload, &LIMITS).await.unwrap()
}

/// Reserves and uploads.
pub(crate) async fn put(store: &Store, upload: &Upload, hash: &FileHash) -> Commit {
    assert_eq!(reserve(store, upload).await, Reservation::Reserved, "{}", upload.token);
    store
        .uploads
        .commit(&upload.token, "a/b", hash, upload.created, Some(&upload.token))
        .await
        .unwrap()
}

pub(crate) async fn stored_once_and_shared(database: &Database) {
    let uploads = &database.store.uploads;
    let first = slot(ROMEO, "first", 10, 0);
    assert_eq!(reserve(&database.store, &first).await, Reservation::Reserved);
    assert_eq!(uploads.find("first").await.unwrap(), Some(first.clone()));
    let early = uploads.commit("first", "a/b", &HASH, at(1), None).await.unwrap();
    assert_eq!(early, Commit::NotInPlace);
    assert_eq!(uploads.find("first").await.unwrap(), Some(first));
    let commit =
        async |token, hash| uploads.commit(token, "a/b", hash, at(1), Some(token)).await.unwrap();
    assert_eq!(commit("first", &HASH).await, Commit::Stored);
    assert_eq!(commit("first", &HASH).await, Commit::Refused);
    assert_eq!(commit("never", &HASH).await, Commit::Refused);

    let typed = Upload { media_type: Some("image/png".into()), ..slot(JULIET, "second", 10, 2) };
    assert_eq!(put(&database.store, &typed, &HASH).await, Commit::Shared);
    // The same hash would be a lie where the size is another.
    assert_eq!(put(&database.store, &slot(JULIET, "third", 11, 3), &HASH).await, Commit::Stored);
    let find = async |token| uploads.find(token).await.unwrap().unwrap();
    let (first, second) = (find("first").await, find("second").await);
    assert_eq!((first.media_type.as_deref(), first.stored), (Some("a/b"), Some(at(1))));
    assert_eq!(second.media_type.as_deref(), Some("image/png"));
    assert_eq!(first.content, second.content);
    assert_eq!(first.content.unwrap().blob, "first");
    assert_eq!(find("third").await.content.unwrap().blob, "third");
    let of_juliet = async |after, limit| -> Vec<String> {
        let files = uploads.of_account(JULIET, after, limit).await.unwrap();
        files.into_iter().map(|upload| upload.token).collect()
    };
    assert_eq!(of_juliet("", 1).await, ["second"]);
    assert_eq!(of_juliet("second", 9).await, ["third"]);

    assert_eq!(uploads.remove_account(ROMEO).await.unwrap(), 3);
    assert_eq!(uploads.find("first").await.unwrap(), None);
    assert_eq!(uploads.dead_blobs(10).await.unwrap(), [""; 0]);
    assert!(find("second").await.content.is_some());
    uploads.remove_account(JULIET).await.unwrap();
    assert_eq!(uploads.dead_blobs(1).await.unwrap().len(), 1);
    // What is about to be removed is not shared any more.
    assert_eq!(put(&database.store, &slot(ROMEO, "fourth", 10, 4), &HASH).await, Commit::Stored);
    for blob in uploads.dead_blobs(10).await.unwrap() {
        uploads.forget_blob(&blob).await.unwrap();
    }
    uploads.forget_blob("fourth").await.unwrap();
    assert!(uploads.has_blob("fourth").await.unwrap() && !uploads.has_blob("first").await.unwrap());
}

pub(crate) async fn quotas_of_day_and_account(database: &Database) {
    let store = &database.store;
    let day_full = |seconds| Reservation::DayFull(at(seconds));
    assert_eq!(put(store, &slot(ROMEO, "a", 40, 0), &HASH).await, Commit::Stored);
    assert_eq!(reserve(store, &slot(ROMEO, "b", 60, 10)).await, Reservation::Reserved);
    // The slot counts while it may be used; afterwards it does not.
    assert_eq!(reserve(store, &slot(ROMEO, "c", 1, 20)).await, day_full(DAY));
    assert_eq!(reserve(store, &slot(ROMEO, "c", 41, 20)).await, day_full(10 + DAY));
    assert_eq!(reserve(store, &slot(JULIET, "c", 100, 20)).await, Reservation::Reserved);
    assert_eq!(put(store, &slot(ROMEO, "d", 60, 400), &FileHash([1; 32])).await, Commit::Stored);
    let usage = store.uploads.usage(ROMEO, at(401)).await.unwrap();
    assert_eq!((usage.account_bytes, usage.day_bytes, usage.files), (100, 100, 2));

    let next = slot(ROMEO, "e", 51, 2 * DAY);
    assert_eq!(reserve(store, &next).await, Reservation::AccountFull(Some(at(30 * DAY))));
    assert_eq!(reserve(store, &slot(ROMEO, "e", 50, 2 * DAY)).await, Reservation::Reserved);
    let usage = store.uploads.usage(ROMEO, at(2 * DAY)).await.unwrap();
    assert_eq!((usage.account_bytes, usage.day_bytes), (100, 50));
}

pub(crate) async fn slots_that_wait_are_few(database: &Database) {
    let store = &database.store;
    for (token, second) in [("a", 0), ("b", 10), ("c", 20)] {
        assert_eq!(reserve(store, &slot(ROMEO, token, 1, second)).await, Reservation::Reserved);
    }
    let refused = Reservation::TooManySlots(at(300));
    assert_eq!(reserve(store, &slot(ROMEO, "d", 1, 30)).await, refused);
    store.uploads.commit("b", "a/b", &HASH, at(31), Some("b")).await.unwrap();
    assert_eq!(reserve(store, &slot(ROMEO, "d", 1, 32)).await, Reservation::Reserved);
    let at_once: Vec<_> = (0..8).map(|n| slot(JULIET, &format!("j{n}"), 20, 0)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for upload in at_once {
        let store = store.clone();
        tasks.spawn(async move { reserve(&store, &upload).await });
    }
    let given = tasks.join_all().await.into_iter().filter(|r| *r == Reservation::Reserved);
    assert_eq!(given.count(), 3);
}

pub(crate) async fn old_profiles_give_way(database: &Database) {
    let store = &database.store;
    let avatar = |token: &str, second| Upload {
        purpose: UploadPurpose::Profile,
        expires: None,
        ..slot(ROMEO, token, 15, second)
    };
    for (number, token) in ["a", "b", "c"].into_iter().enumerate() {
        let hash = FileHash([number as u8; 32]);
        assert_eq!(put(store, &avatar(token, number as i64), &hash).await, Commit::Stored);
    }
    assert_eq!(store.uploads.expire(at(10), 10).await.unwrap(), 1);
    let find = async |token| store.uploads.find(token).await.unwrap().unwrap().content;
    assert!(find("a").await.is_none() && find("b").await.is_some() && find("c").await.is_some());
    assert_eq!(store.uploads.dead_blobs(10).await.unwrap(), ["a"]);
}

pub(crate) async fn uploads_expire(database: &Database) {
    let (store, uploads) = (&database.store, &database.store.uploads);
    let short = Upload { expires: Some(at(60)), ..slot(ROMEO, "short", 10, 0) };
    assert_eq!(put(store, &short, &HASH).await, Commit::Stored);
    assert_eq!(put(store, &slot(ROMEO, "long", 10, 0), &HASH).await, Commit::Shared);
    assert_eq!(reserve(store, &slot(ROMEO, "unused", 10, 0)).await, Reservation::Reserved);
    assert_eq!(uploads.expire(at(59), 10).await.unwrap(), 0);
    assert_eq!(uploads.expire(at(60), 10).await.unwrap(), 1);
    let gone = uploads.find("short").await.unwrap().unwrap();
    assert_eq!((gone.content, gone.stored), (None, Some(at(0))));
    assert_eq!(
        uploads.commit("short", "a/b", &HASH, at(61), Some("short")).await.unwrap(),
        Commit::Refused
    );
    // It still counts for the day on which it was uploaded.
    assert_eq!(uploads.usage(ROMEO, at(61)).await.unwrap().day_bytes, 30);
    assert_eq!(uploads.expire(at(DAY), 10).await.unwrap(), 2);
    for token in ["short", "unused"] {
        assert_eq!(uploads.find(token).await.unwrap(), None, "{token}");
    }
    assert_eq!(uploads.dead_blobs(10).await.unwrap(), [""; 0]);
    assert_eq!(uploads.expire(Timestamp::from_micros(i64::MAX), 10).await.unwrap(), 2);
    assert_eq!(uploads.dead_blobs(10).await.unwrap(), ["short"]);
}
