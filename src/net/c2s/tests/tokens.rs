//! FAST (XEP-0484) and access tokens (RFC 7628).

use wello_kernel::accounts::Visitor;

use super::*;

const REQUEST: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";

fn by_token(token: &str, agent: &str, fast: &str) -> String {
    let mac = ScramHash::Sha256.hmac(token.as_bytes(), &[b"Initiator"]);
    let message = [b"user\0", &mac[..]].concat();
    let inline = format!("{}<fast xmlns='urn:xmpp:fast:0' {fast}/>", user_agent(agent));
    authenticate("HT-SHA-256-NONE", &message, &inline)
}

fn token_of(success: &Element) -> Option<String> {
    success.child("token", ns::FAST)?.attr("token").map(str::to_owned)
}

/// A token that the phone got for its password.
async fn issued(world: &World) -> String {
    let (_, success) =
        world.log_in(&plain(PASSWORD, &format!("{}{REQUEST}", user_agent(PHONE)))).await;
    token_of(&success).unwrap()
}

#[tokio::test]
async fn a_token_for_a_password_and_a_login_for_a_token() {
    let world = World::start().await;
    let token = issued(&world).await;
    let (_, success) = world.log_in(&by_token(&token, PHONE, "")).await;
    assert_eq!(identifier(&success), "user@wello.example");
    assert_eq!(token_of(&success), None);
    world.clock.advance(2 * DAY);
    let (_, success) = world.log_in(&by_token(&token, PHONE, "")).await;
    let renewed = token_of(&success).unwrap();
    assert_ne!(renewed, token);
    // The old one holds until the new one is used.
    world.log_in(&by_token(&token, PHONE, "")).await;
    world.log_in(&by_token(&renewed, PHONE, "")).await;
    assert_eq!(world.refusal(&by_token(&token, PHONE, "")).await, "not-authorized");
}

#[tokio::test]
async fn tokens_of_others_replays_and_old_ones_are_refused() {
    let world = World::start().await;
    let token = issued(&world).await;
    assert_eq!(world.refusal(&by_token(&token, LAPTOP, "")).await, "not-authorized");
    assert_eq!(world.refusal(&by_token("guess", PHONE, "")).await, "not-authorized");
    world.log_in(&by_token(&token, PHONE, "count='3'")).await;
    assert_eq!(world.refusal(&by_token(&token, PHONE, "count='3'")).await, "not-authorized");
    world.log_in(&by_token(&token, PHONE, "count='4'")).await;
    world.clock.advance(21 * DAY);
    assert_eq!(world.refusal(&by_token(&token, PHONE, "")).await, "credentials-expired");
    // Who does not have the token is not told that it has expired.
    assert_eq!(world.refusal(&by_token("guess", PHONE, "")).await, "not-authorized");
}

#[tokio::test]
async fn a_token_ends_with_the_password_and_when_it_is_given_up() {
    let world = World::start().await;
    let token = issued(&world).await;
    world.log_in(&by_token(&token, PHONE, "invalidate='true'")).await;
    assert_eq!(world.refusal(&by_token(&token, PHONE, "")).await, "not-authorized");
    let token = issued(&world).await;
    let jid = "user@wello.example".parse().unwrap();
    world.kernel.set_password(&jid, "another", None).await.unwrap();
    assert_eq!(world.refusal(&by_token(&token, PHONE, "")).await, "not-authorized");
}

#[tokio::test]
async fn guessing_tokens_is_counted() {
    let world = World::with("max_failures = 2", RootCertStore::empty()).await;
    let token = issued(&world).await;
    for _ in 0..2 {
        assert_eq!(world.refusal(&by_token("guess", PHONE, "")).await, "not-authorized");
    }
    assert_eq!(world.refusal(&by_token(&token, PHONE, "")).await, "temporary-auth-failure");
    world.clock.advance(DAY);
    world.log_in(&by_token(&token, PHONE, "")).await;
}

#[tokio::test]
async fn an_access_token_opens_a_session_that_ends_with_its_grant() {
    let world = World::start().await;
    let accounts = &world.kernel.accounts;
    let granted = accounts.log_in("user", PASSWORD, &Visitor::default()).await.unwrap();
    let bearer = |token: &str| {
        let message = format!("n,,\x01auth=Bearer {token}\x01\x01");
        let inline = format!("{}{BIND}{REQUEST}", user_agent(PHONE));
        authenticate("OAUTHBEARER", message.as_bytes(), &inline)
    };
    let (mut client, success) = world.log_in(&bearer(&granted.access)).await;
    assert!(identifier(&success).starts_with("user@wello.example/App."));
    // A day's grant makes no token of three weeks.
    assert_eq!(token_of(&success), None);
    let jid = "user@wello.example".parse().unwrap();
    let client_id = accounts.verify_access(&granted.access).await.unwrap().client;
    assert!(world.kernel.revoke_client(&jid, &client_id).await.unwrap());
    assert_eq!(client.ending().await, "reset");
    // Refused with a challenge that names the reason (RFC 7628, section 3.2.2).
    let mut client = world.connect().await;
    assert!(client.ask(&bearer(&granted.access)).await.is("challenge", ns::SASL2));
    let failure = client.ask("<response xmlns='urn:xmpp:sasl:2'>AQ==</response>").await;
    assert_eq!(condition(&failure), "not-authorized");
    world.clock.advance(DAY);
    let mut client = world.connect().await;
    client.ask(&bearer(&granted.access)).await;
    let failure = client.ask("<response xmlns='urn:xmpp:sasl:2'>AQ==</response>").await;
    assert_eq!(condition(&failure), "credentials-expired");
}
