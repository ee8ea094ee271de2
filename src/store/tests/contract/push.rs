//! Where devices are woken.

use bytes::Bytes;
use wello_store::{PushDevice, PushEndpoint, PushGateway, PushService, TokenHash};

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

pub(crate) fn device(account: &str, name: &str, number: u8) -> PushDevice {
    PushDevice {
        node: format!("{number} of {account}"),
        secret: TokenHash([number; 32]),
        account: account.to_owned(),
        device: name.to_owned(),
        gateway: PushGateway::Web,
        address: "https://push.example/1".to_owned(),
        call_address: None,
        public_key: Some(Bytes::from_static(&[4; 65])),
        auth: Some(Bytes::from_static(&[1; 16])),
        registered: at(i64::from(number)),
    }
}

pub(crate) fn endpoint(account: &str, application: &str, expires: i64) -> PushEndpoint {
    PushEndpoint {
        token: format!("{application} of {account}"),
        account: account.to_owned(),
        resource: "phone".to_owned(),
        application: application.to_owned(),
        instance: "1".to_owned(),
        expires: at(expires),
    }
}

pub(crate) async fn devices_keep_their_node(database: &Database) {
    let devices = &database.store.push_devices;
    let register = async |device: &PushDevice| devices.register(device, 2).await.unwrap();
    let (phone, tablet) = (device(ROMEO, "phone", 1), device(ROMEO, "tablet", 2));
    assert_eq!(register(&phone).await.as_ref(), Some(&phone.node));
    assert_eq!(register(&tablet).await.as_ref(), Some(&tablet.node));
    assert_eq!(register(&device(ROMEO, "third", 3)).await, None);
    assert!(register(&device(JULIET, "phone", 4)).await.is_some());
    // The same device with a new token.
    let anew = PushDevice {
        gateway: PushGateway::Fcm,
        address: "token".to_owned(),
        call_address: Some("voip".to_owned()),
        public_key: None,
        auth: None,
        ..device(ROMEO, "phone", 5)
    };
    assert_eq!(register(&anew).await.as_ref(), Some(&phone.node));
    let anew = PushDevice { node: phone.node.clone(), ..anew };
    assert_eq!(devices.device(&phone.node).await.unwrap(), Some(anew.clone()));
    assert_eq!(devices.device("none").await.unwrap(), None);
    assert_eq!(devices.devices(ROMEO).await.unwrap(), [tablet, anew.clone()]);
    // What was found gone is not what is there now.
    assert!(!devices.unregister(&phone).await.unwrap());
    assert!(devices.unregister(&anew).await.unwrap());
    assert!(!devices.unregister(&anew).await.unwrap());
    assert_eq!(devices.devices(ROMEO).await.unwrap().len(), 1);
}

pub(crate) async fn endpoints_keep_their_token_until_they_expire(database: &Database) {
    let devices = &database.store.push_devices;
    let add = async |endpoint: &PushEndpoint, now| {
        devices.add_endpoint(endpoint, 2, at(now)).await.unwrap()
    };
    let (first, second) = (endpoint(ROMEO, "a", 10), endpoint(ROMEO, "b", 20));
    assert_eq!(add(&first, 0).await.as_ref(), Some(&first.token));
    assert_eq!(add(&second, 0).await.as_ref(), Some(&second.token));
    assert_eq!(add(&endpoint(ROMEO, "c", 10), 0).await, None);
    assert!(add(&endpoint(JULIET, "a", 10), 0).await.is_some());
    let longer = PushEndpoint { token: "other".to_owned(), expires: at(30), ..first.clone() };
    assert_eq!(add(&longer, 5).await.as_ref(), Some(&first.token));
    let found = devices.endpoint(&first.token, at(29)).await.unwrap();
    assert_eq!(found, Some(PushEndpoint { token: first.token.clone(), ..longer }));
    assert_eq!(devices.endpoint(&first.token, at(30)).await.unwrap(), None);
    // What has expired takes no place.
    assert!(add(&endpoint(ROMEO, "c", 40), 25).await.is_some());
    assert_eq!(devices.expire_endpoints(at(25)).await.unwrap(), 2);
    assert!(devices.remove_endpoint(&first.token).await.unwrap());
    assert!(!devices.remove_endpoint(&first.token).await.unwrap());
}
