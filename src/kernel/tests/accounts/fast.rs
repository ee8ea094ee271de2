use wello_kernel::accounts::LoginError;
use wello_stream::c2s::TokenUse;
use wello_stream::nonza::Token;
use wello_stream::sasl::{HtBinding, Mechanism};
use wello_wire::jid::BareJid;

use super::*;

const NONE: Mechanism = Mechanism::HtSha256(HtBinding::None);
const EXPR: Mechanism = Mechanism::HtSha256(HtBinding::Expr);

const CURRENT: TokenUse = TokenUse { index: 0, count: None, invalidate: false };
const FORMER: TokenUse = TokenUse { index: 1, count: None, invalidate: false };

fn counted(count: u64) -> TokenUse {
    TokenUse { count: Some(count), ..CURRENT }
}

async fn started() -> (Server, BareJid) {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    server.seen(&jid, PHONE).await;
    (server, jid)
}

async fn issue(server: &Server, jid: &BareJid, used: Option<usize>) -> Option<Token> {
    server.kernel.accounts.issue_fast_token(jid, PHONE, NONE, used).await.unwrap()
}

async fn secrets(
    server: &Server,
    jid: &BareJid,
    client: &str,
    mechanism: Mechanism,
) -> Vec<String> {
    let login = server.kernel.accounts.fast_tokens(jid, client, mechanism).await.unwrap();
    login.secrets().iter().map(|secret| secret.expose().to_owned()).collect()
}

async fn log_in(server: &Server, jid: &BareJid, used: TokenUse) -> Result<bool, LoginError> {
    let accounts = &server.kernel.accounts;
    let login = accounts.fast_tokens(jid, PHONE, NONE).await.unwrap();
    accounts.use_fast_token(jid, PHONE, &login, used).await
}

#[tokio::test]
async fn a_token_is_for_one_client_and_one_mechanism_and_expires() {
    let (server, jid) = started().await;
    server.seen(&jid, LAPTOP).await;
    let token = issue(&server, &jid, None).await.unwrap();
    assert_eq!(token.expiry, "2027-02-05T08:00:00Z");
    assert_eq!(secrets(&server, &jid, PHONE, NONE).await, [token.token.expose()]);
    assert!(secrets(&server, &jid, LAPTOP, NONE).await.is_empty());
    assert!(secrets(&server, &jid, PHONE, EXPR).await.is_empty());
    assert!(secrets(&server, &bare("nobody@wello.example"), PHONE, NONE).await.is_empty());
    server.clock.advance(20 * DAY);
    assert!(log_in(&server, &jid, CURRENT).await.is_ok());
    server.clock.advance(DAY);
    assert_eq!(log_in(&server, &jid, CURRENT).await, Err(LoginError::Expired));
}

#[tokio::test]
async fn a_client_that_nobody_knows_gets_none() {
    let (server, jid) = started().await;
    let accounts = &server.kernel.accounts;
    assert!(accounts.issue_fast_token(&jid, LAPTOP, NONE, None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_count_is_good_once() {
    let (server, jid) = started().await;
    issue(&server, &jid, None).await.unwrap();
    // Some clients begin with zero.
    assert!(log_in(&server, &jid, counted(0)).await.is_ok());
    assert!(log_in(&server, &jid, counted(5)).await.is_ok());
    for replay in [0, 4, 5] {
        assert_eq!(log_in(&server, &jid, counted(replay)).await, Err(LoginError::Refused));
    }
    assert!(log_in(&server, &jid, counted(6)).await.is_ok());
}

#[tokio::test]
async fn a_new_token_begins_its_count_anew() {
    let (server, jid) = started().await;
    issue(&server, &jid, None).await.unwrap();
    log_in(&server, &jid, counted(100)).await.unwrap();
    issue(&server, &jid, Some(0)).await.unwrap();
    let former = TokenUse { count: Some(100), ..FORMER };
    assert_eq!(log_in(&server, &jid, former).await, Err(LoginError::Refused));
    assert!(log_in(&server, &jid, counted(1)).await.is_ok());
    assert_eq!(log_in(&server, &jid, counted(1)).await, Err(LoginError::Refused));
}

#[tokio::test]
async fn the_former_token_holds_until_the_new_one_is_used() {
    let (server, jid) = started().await;
    let first = issue(&server, &jid, None).await.unwrap();
    assert_eq!(log_in(&server, &jid, CURRENT).await, Ok(false));
    server.clock.advance(DAY);
    assert_eq!(log_in(&server, &jid, CURRENT).await, Ok(true));
    let second = issue(&server, &jid, Some(0)).await.unwrap();
    assert_ne!(first, second);
    let both = [second.token.expose(), first.token.expose()];
    assert_eq!(secrets(&server, &jid, PHONE, NONE).await, both);
    // The answer was lost: the client comes with the former one and gets the same again, however
    // often that happens.
    for _ in 0..3 {
        assert_eq!(log_in(&server, &jid, FORMER).await, Ok(true));
        assert_eq!(issue(&server, &jid, Some(1)).await.unwrap(), second);
        assert_eq!(secrets(&server, &jid, PHONE, NONE).await, both);
    }
    assert_eq!(log_in(&server, &jid, CURRENT).await, Ok(false));
    assert_eq!(secrets(&server, &jid, PHONE, NONE).await, [second.token.expose()]);
}

#[tokio::test]
async fn a_token_can_be_given_up() {
    let (server, jid) = started().await;
    issue(&server, &jid, None).await.unwrap();
    server.clock.advance(2 * DAY);
    let last = TokenUse { invalidate: true, ..CURRENT };
    assert_eq!(log_in(&server, &jid, last).await, Ok(false));
    assert!(secrets(&server, &jid, PHONE, NONE).await.is_empty());
}

#[tokio::test]
async fn a_new_password_takes_the_tokens_away() {
    for keep in [None, Some(PHONE)] {
        let (server, jid) = started().await;
        issue(&server, &jid, None).await.unwrap();
        server.kernel.accounts.set_password(&jid, "another", keep).await.unwrap();
        assert!(secrets(&server, &jid, PHONE, NONE).await.is_empty());
        assert_eq!(server.clients(&jid).await.len(), usize::from(keep.is_some()));
    }
}

#[tokio::test]
async fn an_operator_can_do_without() {
    let server = Server::with("token_days = 0").await;
    assert_eq!(server.kernel.accounts.fast_mechanisms().count(), 0);
    assert_eq!(started().await.0.kernel.accounts.fast_mechanisms().count(), 3);
}
