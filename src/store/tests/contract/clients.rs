use wello_store::{Client, ClientKind, ClientPermission, FastToken, RefreshToken, TokenHash};

use crate::fixture::{Database, JULIET, ROMEO, at};

fn client(id: &str, second: i64) -> Client {
    Client {
        id: id.to_owned(),
        kind: ClientKind::Session,
        permission: ClientPermission::Unrestricted,
        software: Some("Gajim".to_owned()),
        device: Some("orchard".to_owned()),
        tag: None,
        first_seen: at(second),
        last_seen: at(second),
    }
}

fn token(secret: &[u8], second: i64) -> FastToken {
    FastToken { secret: secret.to_vec(), issued: at(second), expires: at(second + 100) }
}

pub(crate) async fn seen_listed_and_revoked(database: &Database) {
    let clients = &database.store.clients;
    clients.seen(ROMEO, &client("phone", 1)).await.unwrap();
    clients.seen(ROMEO, &client("laptop", 2)).await.unwrap();
    clients.seen(ROMEO, &client("tablet", 3)).await.unwrap();
    clients.seen(JULIET, &client("phone", 4)).await.unwrap();
    assert!(clients.set_permission(ROMEO, "phone", ClientPermission::Normal).await.unwrap());
    let again = Client {
        software: Some("Dino".to_owned()),
        tag: Some("t".to_owned()),
        ..client("phone", 9)
    };
    clients.seen(ROMEO, &again).await.unwrap();

    let phone = clients.find(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!((phone.first_seen, phone.last_seen), (at(1), at(9)));
    assert_eq!((phone.software.as_deref(), phone.tag.as_deref()), (Some("Dino"), Some("t")));
    assert_eq!(phone.permission, ClientPermission::Normal);
    let ids = async || {
        let list = clients.list(ROMEO).await.unwrap();
        list.into_iter().map(|client| client.id).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["phone", "tablet", "laptop"]);

    clients.rotate_fast(ROMEO, "laptop", "HT-SHA-256-EXPR", &token(b"s", 1)).await.unwrap();
    let refresh = RefreshToken {
        hash: TokenHash([7; 32]),
        family: "f".to_owned(),
        account: ROMEO.to_owned(),
        client: Some("laptop".to_owned()),
        issued: at(0),
        expires: at(100),
    };
    database.store.refresh_tokens.issue(&refresh).await.unwrap();
    assert!(clients.revoke(ROMEO, "laptop").await.unwrap());
    assert!(!clients.revoke(ROMEO, "laptop").await.unwrap());
    assert_eq!(clients.fast(ROMEO, "laptop").await.unwrap(), None);
    assert_eq!(database.store.refresh_tokens.revoke_family("f").await.unwrap(), 0);
    assert_eq!(ids().await, ["phone", "tablet"]);
    assert_eq!(clients.revoke_others(ROMEO, Some("tablet")).await.unwrap(), 1);
    assert_eq!(ids().await, ["tablet"]);
    assert_eq!(clients.list(JULIET).await.unwrap().len(), 1);
}

pub(crate) async fn fast_tokens_rotate(database: &Database) {
    let clients = &database.store.clients;
    let (expr, endp) = ("HT-SHA-256-EXPR", "HT-SHA-256-ENDP");
    assert!(!clients.rotate_fast(ROMEO, "phone", expr, &token(b"0", 0)).await.unwrap());
    clients.seen(ROMEO, &client("phone", 1)).await.unwrap();
    assert_eq!(clients.fast(ROMEO, "phone").await.unwrap(), None);

    assert!(clients.rotate_fast(ROMEO, "phone", expr, &token(b"1", 1)).await.unwrap());
    let tokens = clients.fast(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!((tokens.mechanism.as_str(), tokens.previous), (expr, None));
    assert_eq!(tokens.current, token(b"1", 1));

    assert!(clients.rotate_fast(ROMEO, "phone", expr, &token(b"2", 2)).await.unwrap());
    let tokens = clients.fast(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!((tokens.current, tokens.previous), (token(b"2", 2), Some(token(b"1", 1))));

    clients.settle_fast(ROMEO, "phone").await.unwrap();
    let tokens = clients.fast(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!((tokens.current, tokens.previous), (token(b"2", 2), None));

    // A token is bound to its mechanism, so the former one is of no use.
    assert!(clients.rotate_fast(ROMEO, "phone", endp, &token(b"3", 3)).await.unwrap());
    let tokens = clients.fast(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!((tokens.mechanism.as_str(), tokens.previous), (endp, None));

    assert!(clients.drop_fast(ROMEO, "phone").await.unwrap());
    assert!(!clients.drop_fast(ROMEO, "phone").await.unwrap());
    assert_eq!(clients.fast(ROMEO, "phone").await.unwrap(), None);
}

pub(crate) async fn fast_counters_only_grow(database: &Database) {
    let clients = &database.store.clients;
    assert!(!clients.advance_fast(ROMEO, "phone", 1).await.unwrap());
    clients.seen(ROMEO, &client("phone", 1)).await.unwrap();
    clients.rotate_fast(ROMEO, "phone", "HT-SHA-256-NONE", &token(b"1", 1)).await.unwrap();
    assert!(clients.advance_fast(ROMEO, "phone", 5).await.unwrap());
    assert!(!clients.advance_fast(ROMEO, "phone", 5).await.unwrap());
    assert!(!clients.advance_fast(ROMEO, "phone", 4).await.unwrap());
    assert!(clients.advance_fast(ROMEO, "phone", 6).await.unwrap());
    let tokens = clients.fast(ROMEO, "phone").await.unwrap().unwrap();
    assert_eq!(tokens.count, 6);
}

pub(crate) async fn fast_counters_begin_anew_with_a_token(database: &Database) {
    let clients = &database.store.clients;
    let (none, expr) = ("HT-SHA-256-NONE", "HT-SHA-256-EXPR");
    clients.seen(ROMEO, &client("phone", 1)).await.unwrap();
    clients.rotate_fast(ROMEO, "phone", none, &token(b"1", 1)).await.unwrap();
    assert!(clients.advance_fast(ROMEO, "phone", 5).await.unwrap());
    // Nothing to settle, so a replay stays one.
    clients.settle_fast(ROMEO, "phone").await.unwrap();
    assert!(!clients.advance_fast(ROMEO, "phone", 5).await.unwrap());
    // Until the new token is used, the old one goes on counting.
    clients.rotate_fast(ROMEO, "phone", none, &token(b"2", 2)).await.unwrap();
    assert!(!clients.advance_fast(ROMEO, "phone", 5).await.unwrap());
    clients.settle_fast(ROMEO, "phone").await.unwrap();
    assert!(clients.advance_fast(ROMEO, "phone", 1).await.unwrap());
    clients.rotate_fast(ROMEO, "phone", expr, &token(b"3", 3)).await.unwrap();
    assert!(clients.advance_fast(ROMEO, "phone", 1).await.unwrap());
}
