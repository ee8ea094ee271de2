//! Where devices are woken.

use bytes::Bytes;
use wello_store::PushService;

use crate::fixture::{Database, JULIET, ROMEO, at};

pub(crate) fn service(account: &str, jid: &str, node: &str) -> PushService {
    PushService {
        account: account.to_owned(),
        jid: jid.to_owned(),
        node: node.to_owned(),
        resource: "phone".to_owned(),
        client: None,
        options: None,
        enabled: at(0),
        failures: 0,
        paused_until: None,
    }
}

pub(crate) async fn enabled_and_disabled(database: &Database) {
    let push = &database.store.push;
    let list = async |account| push.list(account).await.unwrap();
    let enable = async |service: &PushService| push.enable(service, 2).await.unwrap();
    let first = service(ROMEO, "push.example", "a");
    let second = PushService { enabled: at(1), ..service(ROMEO, "push.example", "b") };
    assert!(enable(&first).await && enable(&second).await);
    assert!(!enable(&service(ROMEO, "push.example", "c")).await);
    assert!(enable(&service(JULIET, "push.example", "a")).await);
    // The last request for the same counts, and ends its troubles.
    push.set_failures(&first, 3, Some(at(9))).await.unwrap();
    assert_eq!(list(ROMEO).await[0].failures, 3);
    assert_eq!(list(ROMEO).await[0].paused_until, Some(at(9)));
    let again = PushService {
        resource: "tablet".to_owned(),
        client: Some("id".to_owned()),
        options: Some(Bytes::from_static(b"<x/>")),
        ..first.clone()
    };
    assert!(enable(&again).await);
    assert_eq!(list(ROMEO).await, [again, second]);

    assert_eq!(push.disable(ROMEO, "push.example", Some("c")).await.unwrap(), 0);
    assert_eq!(push.disable(ROMEO, "push.example", Some("a")).await.unwrap(), 1);
    assert_eq!(push.disable(ROMEO, "other.example", None).await.unwrap(), 0);
    assert_eq!(push.disable(ROMEO, "push.example", None).await.unwrap(), 1);
    assert_eq!(list(ROMEO).await, []);
    assert_eq!(list(JULIET).await.len(), 1);
    push.set_failures(&first, 1, None).await.unwrap();
    assert_eq!(list(ROMEO).await, []);
}
