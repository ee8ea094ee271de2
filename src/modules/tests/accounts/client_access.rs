use wello_kernel::accounts::Visitor;
use wello_stream::nonza::UserAgent;
use wello_stream::sasl::{HtBinding, Mechanism};
use wello_wire::ns;

use super::*;

const LIST: &str = "<iq type='get' id='1'><list xmlns='urn:xmpp:cam:0'/></iq>";

fn revoke(id: &str) -> String {
    format!("<iq type='set' id='2'><revoke xmlns='urn:xmpp:cam:0' id='{id}'/></iq>")
}

/// A user with a phone and a laptop that know the password, and a grant.
async fn started() -> (Server, BareJid, String) {
    let server = Server::start().await;
    let jid = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    for id in [PHONE, LAPTOP] {
        let agent = UserAgent { device: Some("Pocket".to_owned()), ..UserAgent::default() };
        accounts.record_client(&jid, id.parse().unwrap(), &agent, None).await.unwrap();
    }
    let visitor = Visitor { software: Some("Web"), ..Visitor::default() };
    let granted = accounts.log_in("user", PASSWORD, &visitor).await.unwrap();
    let grant = accounts.verify_access(&granted.access).await.unwrap().client;
    (server, jid, grant)
}

async fn listed(server: &Server, session: &Arc<Session>) -> Vec<Element> {
    let answer = only(server.say(session, LIST).await);
    answer.child("clients", ns::CAM).unwrap().children().cloned().collect()
}

fn auth(client: &Element) -> Vec<&str> {
    client.child("auth", ns::CAM).unwrap().children().map(Element::name).collect()
}

fn permission(client: &Element) -> Option<&str> {
    client.child("permission", ns::CAM).unwrap().attr("status")
}

#[tokio::test]
async fn everything_that_has_access_is_listed() {
    let (server, jid, grant) = started().await;
    let accounts = &server.kernel.accounts;
    let mechanism = Mechanism::HtSha256(HtBinding::None);
    accounts.issue_fast_token(&jid, PHONE, mechanism, None).await.unwrap();
    let session = server.session(&jid, client(PHONE)).await;
    let old = server.session(&jid, ClientInfo::default()).await;
    let clients = listed(&server, &session).await;
    assert_eq!(clients.len(), 4);
    let find = |id: &str| clients.iter().find(|client| client.attr("id") == Some(id)).unwrap();
    let phone = find(PHONE);
    assert_eq!((phone.attr("type"), phone.attr("connected")), (Some("session"), Some("true")));
    assert_eq!((auth(phone), permission(phone)), (vec!["password", "fast"], Some("unrestricted")));
    let agent = phone.child("user-agent", ns::CAM).unwrap();
    assert_eq!(agent.child("device", ns::CAM).unwrap().text(), "Pocket");
    let seen = phone.child("first-seen", ns::CAM).unwrap().text();
    assert_eq!(seen, "2027-01-15T08:00:00Z");
    assert_eq!(
        (find(LAPTOP).attr("connected"), auth(find(LAPTOP))),
        (Some("false"), vec!["password"])
    );
    let grant = find(&grant);
    assert_eq!((grant.attr("type"), permission(grant)), (Some("access"), Some("normal")));
    assert_eq!(auth(grant), ["grant"]);
    assert!(clients[3].to_string().contains(old.jid.resource()));
}

#[tokio::test]
async fn a_grant_is_revoked_with_its_sessions() {
    let (server, jid, grant) = started().await;
    let info = ClientInfo { grant: Some(grant.clone()), ..ClientInfo::default() };
    let granted = server.session(&jid, info).await;
    let session = server.session(&jid, client(PHONE)).await;
    assert!(is_result(&only(server.say(&session, &revoke(&grant)).await)));
    assert!(matches!(inbox(&granted)[..], [Answer::End(EndReason::CredentialsChanged)]));
    assert_eq!(condition(&only(server.say(&session, &revoke(&grant)).await)), "item-not-found");
    assert_eq!(listed(&server, &session).await.len(), 2);
}

#[tokio::test]
async fn a_client_that_knows_the_password_is_ended_and_the_user_told() {
    let (server, jid, _) = started().await;
    let laptop = server.session(&jid, client(LAPTOP)).await;
    let session = server.session(&jid, client(PHONE)).await;
    let mechanism = Mechanism::HtSha256(HtBinding::None);
    let accounts = &server.kernel.accounts;
    accounts.issue_fast_token(&jid, LAPTOP, mechanism, None).await.unwrap();
    let answer = only(server.say(&session, &revoke(LAPTOP)).await);
    assert_eq!(condition(&answer), "service-unavailable");
    assert!(answer.to_string().contains("password-reset-required"));
    assert!(matches!(inbox(&laptop)[..], [Answer::End(EndReason::CredentialsChanged)]));
    let tokens = accounts.fast_tokens(&jid, LAPTOP, mechanism).await.unwrap();
    assert!(tokens.secrets().is_empty());
}

#[tokio::test]
async fn a_session_without_a_client_can_be_ended_too() {
    let (server, jid, _) = started().await;
    let old = server.session(&jid, ClientInfo::default()).await;
    let session = server.session(&jid, client(PHONE)).await;
    let id = listed(&server, &session).await[3].attr("id").unwrap().to_owned();
    let answer = only(server.say(&session, &revoke(&id)).await);
    assert!(answer.to_string().contains("password-reset-required"));
    assert!(matches!(inbox(&old)[..], [Answer::End(_)]));
}

#[tokio::test]
async fn a_client_that_ends_itself_is_answered_first() {
    let (server, jid, grant) = started().await;
    let info = ClientInfo { grant: Some(grant.clone()), ..ClientInfo::default() };
    let granted = server.session(&jid, info).await;
    // A grant may end itself and nobody else.
    assert_eq!(condition(&only(server.say(&granted, &revoke(PHONE)).await)), "forbidden");
    let answers = server.say(&granted, &revoke(&grant)).await;
    let [Answer::Stanza(result), Answer::End(_)] = &answers[..] else { panic!("{answers:?}") };
    assert!(is_result(result));
    let phone = server.session(&jid, client(PHONE)).await;
    let answers = server.say(&phone, &revoke(PHONE)).await;
    let [Answer::Stanza(error), Answer::End(_)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(condition(error), "service-unavailable");
}

#[tokio::test]
async fn nobody_sees_the_clients_of_others() {
    let (server, jid, _) = started().await;
    let other = server.account("other@wello.example").await;
    let session = server.session(&other, ClientInfo::default()).await;
    for request in [LIST, &revoke(PHONE)] {
        let request = request.replacen("<iq ", &format!("<iq to='{jid}' "), 1);
        assert_eq!(condition(&only(server.say(&session, &request).await)), "forbidden");
    }
    assert_eq!(condition(&only(server.say(&session, &revoke(PHONE)).await)), "item-not-found");
}
