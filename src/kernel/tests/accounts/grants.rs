use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wello_kernel::accounts::{Granted, LoginError, TokenError, Visitor};
use wello_store::{AccountStatus, ClientKind};

use super::*;

const USER: &str = "user@wello.example";

async fn log_in(server: &Server, name: &str, password: &str) -> Result<Granted, LoginError> {
    let visitor = Visitor { address: address(1), software: Some("Test"), device: None };
    server.kernel.accounts.log_in(name, password, &visitor).await
}

async fn granted(server: &Server) -> Granted {
    log_in(server, USER, PASSWORD).await.unwrap()
}

async fn verified(server: &Server, token: &str) -> Result<String, TokenError> {
    server.kernel.accounts.verify_access(token).await.map(|access| access.account.jid())
}

fn refresh_token(granted: &Granted) -> &str {
    granted.refresh.as_deref().unwrap()
}

#[tokio::test]
async fn a_password_is_good_for_two_tokens() {
    let server = Server::start().await;
    let (_, account) = server.account(USER).await;
    let granted = granted(&server).await;
    assert_eq!(granted.expires_in, 24 * 3600);
    let access = server.kernel.accounts.verify_access(&granted.access).await.unwrap();
    assert_eq!((access.account.jid().as_str(), access.account.id), (USER, account.id));
    let claims = granted.access.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["sub"], USER);
    assert_eq!(claims["userId"], account.id.0.to_string());
    assert_eq!((&claims["role"], &claims["email"]), (&json!("user"), &Value::Null));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 24 * 3600);
    assert_eq!(claims["client"], access.client);
    let clients = server.clients(&bare(USER)).await;
    assert_eq!((clients.len(), clients[0].kind), (1, ClientKind::Access));
    assert_eq!(clients[0].software.as_deref(), Some("Test"));
}

#[tokio::test]
async fn a_name_is_an_address_a_localpart_or_a_mail_address() {
    let server = Server::start().await;
    let (jid, _) = server.account(USER).await;
    let accounts = &server.kernel.store.accounts;
    accounts.set_profile(jid.as_str(), None, Some("me@mail.example")).await.unwrap();
    for name in [USER, "user", " User@Wello.Example ", "ME@mail.example"] {
        assert_eq!(log_in(&server, name, PASSWORD).await.unwrap().account.jid(), USER, "{name}");
    }
    for name in ["you@mail.example", "nobody", "user@b.example", "", "@", "a b@c d"] {
        assert_eq!(
            log_in(&server, name, PASSWORD).await.unwrap_err(),
            LoginError::Refused,
            "{name}"
        );
    }
    assert_eq!(log_in(&server, USER, "wrong").await.unwrap_err(), LoginError::Refused);
}

#[tokio::test]
async fn a_mail_address_that_two_claim_is_nobodys_but_an_address_is() {
    let server = Server::start().await;
    let (jid, _) = server.account(USER).await;
    let (thief, _) = server.account("thief@wello.example").await;
    let accounts = &server.kernel.store.accounts;
    // Somebody else's address as one's mail address leads nowhere.
    accounts.set_profile(thief.as_str(), None, Some(USER)).await.unwrap();
    assert_eq!(granted(&server).await.account.jid(), USER);
    for one in [&jid, &thief] {
        accounts.set_profile(one.as_str(), None, Some("me@mail.example")).await.unwrap();
    }
    let refused = log_in(&server, "me@mail.example", PASSWORD).await;
    assert_eq!(refused.unwrap_err(), LoginError::Refused);
}

#[tokio::test]
async fn guessing_ends_for_the_account_and_for_the_address() {
    let server = Server::with("max_failures = 3").await;
    server.account(USER).await;
    for _ in 0..3 {
        assert_eq!(log_in(&server, USER, "wrong").await.unwrap_err(), LoginError::Refused);
    }
    assert_eq!(log_in(&server, USER, PASSWORD).await.unwrap_err(), LoginError::Throttled);
    // Unknown names are counted alike.
    for _ in 0..3 {
        assert_eq!(log_in(&server, "nobody", "x").await.unwrap_err(), LoginError::Refused);
    }
    assert_eq!(log_in(&server, "nobody", "x").await.unwrap_err(), LoginError::Throttled);
    for number in 0..9 {
        log_in(&server, &format!("name{number}"), "x").await.unwrap_err();
    }
    assert_eq!(log_in(&server, "other", "x").await.unwrap_err(), LoginError::Throttled);
    server.clock.advance(300 * SECOND);
    assert!(log_in(&server, USER, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn an_access_token_holds_for_a_day() {
    let server = Server::start().await;
    server.account(USER).await;
    let granted = granted(&server).await;
    server.clock.advance(DAY - SECOND);
    assert_eq!(verified(&server, &granted.access).await.unwrap(), USER);
    server.clock.advance(SECOND);
    assert_eq!(verified(&server, &granted.access).await, Err(TokenError::Expired));
}

#[tokio::test]
async fn forged_tokens() {
    let server = Server::start().await;
    server.account(USER).await;
    let good = granted(&server).await.access;
    let mut parts: Vec<&str> = good.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let secret = server.kernel.store.meta.get("token-secret").await.unwrap().unwrap();
    let sign = |algorithm, key: &[u8]| {
        let key = EncodingKey::from_secret(key);
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
    };
    // The test's own signature is as good as ours.
    assert!(verified(&server, &sign(Algorithm::HS256, &secret)).await.is_ok());
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let mut changed = claims.clone();
    changed["sub"] = json!("admin@wello.example");
    let changed = URL_SAFE_NO_PAD.encode(changed.to_string());
    for forged in [
        sign(Algorithm::HS512, &secret),
        sign(Algorithm::HS256, b"another secret"),
        sign(Algorithm::HS256, b""),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{changed}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        String::new(),
        ".".repeat(10_000),
    ] {
        assert_eq!(verified(&server, &forged).await, Err(TokenError::Invalid), "{forged}");
    }
    parts[2] = "AAAA";
    assert_eq!(verified(&server, &parts.join(".")).await, Err(TokenError::Invalid));
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_grant() {
    let server = Server::start().await;
    server.account(USER).await;
    let accounts = &server.kernel.accounts;
    let first = granted(&server).await;
    let other = granted(&server).await;
    server.clock.advance(2 * DAY);
    let second = accounts.refresh(refresh_token(&first)).await.unwrap();
    assert!(verified(&server, &second.access).await.is_ok());
    assert_ne!(second.refresh, first.refresh);
    // Whoever comes with the used one has stolen it, or the other has.
    let reused = accounts.refresh(refresh_token(&first)).await;
    assert_eq!(reused.unwrap_err(), TokenError::Revoked);
    let both = accounts.refresh(refresh_token(&second)).await;
    assert_eq!(both.unwrap_err(), TokenError::Invalid);
    assert_eq!(verified(&server, &second.access).await, Err(TokenError::Revoked));
    // Other grants go on.
    assert!(accounts.refresh(refresh_token(&other)).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_holds_for_a_week_and_each_use_prolongs() {
    let server = Server::start().await;
    server.account(USER).await;
    let accounts = &server.kernel.accounts;
    let mut granted = granted(&server).await;
    for _ in 0..3 {
        server.clock.advance(6 * DAY);
        granted = accounts.refresh(refresh_token(&granted)).await.unwrap();
    }
    server.clock.advance(7 * DAY);
    let late = accounts.refresh(refresh_token(&granted)).await;
    assert_eq!(late.unwrap_err(), TokenError::Expired);
    let guess = accounts.refresh("guess").await;
    assert_eq!(guess.unwrap_err(), TokenError::Invalid);
}

#[tokio::test]
async fn an_access_token_can_be_extended_while_it_holds() {
    let server = Server::start().await;
    server.account(USER).await;
    let accounts = &server.kernel.accounts;
    let first = granted(&server).await;
    server.clock.advance(DAY / 2);
    let second = accounts.refresh(&first.access).await.unwrap();
    assert_eq!(second.refresh, None);
    server.clock.advance(DAY / 2);
    assert_eq!(verified(&server, &first.access).await, Err(TokenError::Expired));
    assert!(verified(&server, &second.access).await.is_ok());
    assert_eq!(accounts.refresh(&first.access).await.unwrap_err(), TokenError::Expired);
}

#[tokio::test]
async fn logging_out_ends_the_grant_by_either_token() {
    let server = Server::start().await;
    server.account(USER).await;
    let accounts = &server.kernel.accounts;
    for by_access in [true, false] {
        let granted = granted(&server).await;
        let token = if by_access { &granted.access } else { refresh_token(&granted) };
        accounts.log_out(token).await.unwrap();
        assert_eq!(verified(&server, &granted.access).await, Err(TokenError::Revoked));
        assert!(accounts.refresh(refresh_token(&granted)).await.is_err());
        assert!(accounts.log_out(token).await.is_err());
    }
    assert!(server.clients(&bare(USER)).await.is_empty());
}

#[tokio::test]
async fn a_grant_ends_with_its_password_its_client_and_its_account() {
    let server = Server::start().await;
    let (jid, _) = server.account(USER).await;
    let (kernel, accounts) = (&server.kernel, &server.kernel.accounts);

    let first = granted(&server).await;
    accounts.set_password(&jid, PASSWORD, None).await.unwrap();
    assert_eq!(verified(&server, &first.access).await, Err(TokenError::Revoked));
    assert!(accounts.refresh(refresh_token(&first)).await.is_err());

    let second = granted(&server).await;
    let client = accounts.verify_access(&second.access).await.unwrap().client;
    assert!(kernel.revoke_client(&jid, &client).await.unwrap());
    assert_eq!(verified(&server, &second.access).await, Err(TokenError::Revoked));
    assert!(accounts.refresh(refresh_token(&second)).await.is_err());

    let third = granted(&server).await;
    kernel.store.accounts.set_status(USER, AccountStatus::Banned).await.unwrap();
    assert_eq!(verified(&server, &third.access).await, Err(TokenError::Disabled));
    assert_eq!(accounts.refresh(refresh_token(&third)).await.unwrap_err(), TokenError::Disabled);
    assert_eq!(log_in(&server, USER, PASSWORD).await.unwrap_err(), LoginError::Disabled);

    accounts.delete(&jid).await.unwrap();
    assert_eq!(verified(&server, &third.access).await, Err(TokenError::Revoked));
}

#[tokio::test]
async fn grants_that_nobody_uses_are_forgotten() {
    let server = Server::start().await;
    let (jid, _) = server.account(USER).await;
    server.seen(&jid, PHONE).await;
    granted(&server).await;
    server.clock.advance(7 * DAY);
    granted(&server).await;
    let kinds: Vec<_> = server.clients(&jid).await.iter().map(|client| client.kind).collect();
    assert_eq!(kinds, [ClientKind::Access, ClientKind::Session]);
}
