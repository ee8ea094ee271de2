use wello_kernel::accounts::Visitor;
use wello_wire::ns;

use super::*;

fn change(to: &str, username: &str, password: &str) -> String {
    format!(
        "<iq type='set' id='1'{to}><query xmlns='jabber:iq:register'>{username}\
         <password>{password}</password></query></iq>"
    )
}

const REMOVE: &str =
    "<iq type='set' id='9'><query xmlns='jabber:iq:register'><remove/></query></iq>";
const TO_HOST: &str = " to='wello.example'";
const OWN_NAME: &str = "<username>user</username>";

#[tokio::test]
async fn a_user_sees_that_they_are_registered() {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    let session = server.session(&jid, ClientInfo::default()).await;
    let get = "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>";
    let answer = only(server.say(&session, get).await);
    let query = answer.child("query", ns::REGISTER).unwrap();
    assert!(query.child("registered", ns::REGISTER).is_some());
    assert_eq!(query.child("username", ns::REGISTER).unwrap().text(), "user");
    assert_eq!(query.child("password", ns::REGISTER).unwrap().text(), "");
}

#[tokio::test]
async fn a_new_password_is_set_and_other_sessions_end() {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    let session = server.session(&jid, client(PHONE)).await;
    let other = server.session(&jid, client(LAPTOP)).await;
    for (to, username, password) in
        [(TO_HOST, OWN_NAME, "second"), ("", "", "third"), (TO_HOST, "", "fourth")]
    {
        let answer = only(server.say(&session, &change(to, username, password)).await);
        assert!(is_result(&answer), "{answer}");
        assert!(server.knows(&jid, password).await);
    }
    let end = inbox(&other).pop();
    assert!(matches!(end, Some(Answer::End(EndReason::CredentialsChanged))), "{end:?}");
}

#[tokio::test]
async fn passwords_that_are_not_set() {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    server.account("victim@wello.example").await;
    let session = server.session(&jid, ClientInfo::default()).await;
    let victim = "<username>victim</username>";
    for (to, username, password, expected) in [
        (TO_HOST, victim, "new", "forbidden"),
        (" to='victim@wello.example'", OWN_NAME, "new", "service-unavailable"),
        (TO_HOST, OWN_NAME, "", "bad-request"),
        (TO_HOST, OWN_NAME, &*"x".repeat(2000), "not-acceptable"),
    ] {
        let answer = only(server.say(&session, &change(to, username, password)).await);
        assert_eq!(condition(&answer), expected, "{username}");
    }
    let clear = server.kernel.bind(&jid, &ResourceWish::Any, ClientInfo::default()).await.unwrap();
    let answer = only(server.say(&clear, &change(TO_HOST, OWN_NAME, "new")).await);
    assert_eq!(condition(&answer), "not-authorized");
    assert!(server.knows(&jid, PASSWORD).await);
    assert!(server.knows(&bare("victim@wello.example"), PASSWORD).await);
}

#[tokio::test]
async fn a_grant_may_not_take_the_account_over() {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    let granted = accounts.log_in("user", PASSWORD, &Visitor::default()).await.unwrap();
    let grant = accounts.verify_access(&granted.access).await.unwrap().client;
    let info = ClientInfo { grant: Some(grant), ..ClientInfo::default() };
    let session = server.session(&jid, info).await;
    let answer = only(server.say(&session, &change(TO_HOST, OWN_NAME, "new")).await);
    assert_eq!(condition(&answer), "forbidden");
    assert_eq!(condition(&only(server.say(&session, REMOVE).await)), "forbidden");
    assert!(server.knows(&jid, PASSWORD).await);
}

#[tokio::test]
async fn an_account_that_removes_itself_is_told_and_then_gone() {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    let session = server.session(&jid, client(PHONE)).await;
    let other = server.session(&jid, client(LAPTOP)).await;
    let both = "<iq type='set' id='1'><query xmlns='jabber:iq:register'><remove/><username/>\
                </query></iq>";
    assert_eq!(condition(&only(server.say(&session, both).await)), "bad-request");
    assert!(server.knows(&jid, PASSWORD).await);
    let answers = server.say(&session, REMOVE).await;
    let [Answer::Stanza(result), Answer::End(EndReason::AccountDeleted)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(is_result(result));
    let end = inbox(&other).pop();
    assert!(matches!(end, Some(Answer::End(EndReason::AccountDeleted))), "{end:?}");
    assert!(!server.kernel.accounts.exists(&jid).await);
}
