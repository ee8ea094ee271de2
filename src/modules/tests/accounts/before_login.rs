use wello_kernel::accounts::AccountInvite;
use wello_kernel::hooks::Stranger;
use wello_wire::ns;

use super::*;

const GET: &str = "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>";

fn stranger() -> Stranger {
    Stranger { host: bare("wello.example"), address: None, invite: None }
}

async fn ask(server: &Server, stranger: &mut Stranger, xml: &str) -> Element {
    let answer = server.kernel.answer_stranger(stranger, &stanza(xml)).await.unwrap().to_element();
    assert_eq!((answer.attr("from"), answer.attr("to")), (Some("wello.example"), None));
    answer
}

fn set(username: &str, password: &str) -> String {
    format!(
        "<iq type='set' id='2' to='wello.example' from='forged@wello.example/x'>\
         <query xmlns='jabber:iq:register'><username>{username}</username>\
         <password>{password}</password></query></iq>"
    )
}

fn preauth(token: &str) -> String {
    format!("<iq type='set' id='3'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
}

async fn token(server: &Server, username: Option<&str>) -> String {
    let domain = "wello.example";
    let wish = AccountInvite { inviter: None, domain, username, role: Role::User, uses: 1 };
    server.kernel.accounts.invite_account(&wish).await.unwrap().token
}

#[tokio::test]
async fn an_open_server_asks_for_a_name_and_a_password() {
    let server = Server::with("registration = 'open'").await;
    let mut stranger = stranger();
    let form = ask(&server, &mut stranger, GET).await;
    let query = form.child("query", ns::REGISTER).unwrap();
    let asked: Vec<_> = query.children().map(Element::name).collect();
    assert_eq!(asked, ["instructions", "username", "password"]);
    assert!(is_result(&ask(&server, &mut stranger, &set("New", PASSWORD)).await));
    assert!(server.knows(&bare("new@wello.example"), PASSWORD).await);
    let again = ask(&server, &mut stranger, &set("new", "other")).await;
    assert_eq!(condition(&again), "conflict");
    assert!(server.knows(&bare("new@wello.example"), PASSWORD).await);
}

#[tokio::test]
async fn wishes_that_cannot_be_met() {
    let server = Server::with("registration = 'open'\nregistrations_per_hour = 100").await;
    for (username, password, expected) in [
        ("", PASSWORD, "not-acceptable"),
        ("new", "", "not-acceptable"),
        ("new@wello.example", PASSWORD, "not-acceptable"),
        ("new@b.example", PASSWORD, "not-acceptable"),
        ("new/resource", PASSWORD, "not-acceptable"),
        ("not a name", PASSWORD, "not-acceptable"),
    ] {
        let answer = ask(&server, &mut stranger(), &set(username, password)).await;
        assert_eq!(condition(&answer), expected, "{username} {password}");
        // XEP-0077, section 3.3: passwords are not sent back.
        assert!(!answer.to_string().contains(PASSWORD));
    }
    let remove = "<iq type='set' id='4'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    let answer = ask(&server, &mut stranger(), remove).await;
    assert_eq!(condition(&answer), "unexpected-request");
    let roster = "<iq type='get' id='5'><query xmlns='jabber:iq:roster'/></iq>";
    assert_eq!(condition(&ask(&server, &mut stranger(), roster).await), "service-unavailable");
    let two = "<iq type='set' id='6'><query xmlns='jabber:iq:register'/><x xmlns='urn:x'/></iq>";
    assert_eq!(condition(&ask(&server, &mut stranger(), two).await), "bad-request");
}

#[tokio::test]
async fn a_closed_server_offers_nothing() {
    let server = Server::with("registration = 'closed'").await;
    let token = token(&server, None).await;
    let mut stranger = stranger();
    assert_eq!(condition(&ask(&server, &mut stranger, GET).await), "service-unavailable");
    let answer = ask(&server, &mut stranger, &set("new", PASSWORD)).await;
    assert_eq!(condition(&answer), "service-unavailable");
    assert_eq!(condition(&ask(&server, &mut stranger, &preauth(&token)).await), "item-not-found");
}

#[tokio::test]
async fn an_invitation_opens_a_server_that_is_for_the_invited() {
    let server = Server::start().await;
    let mut guest = stranger();
    assert_eq!(condition(&ask(&server, &mut guest, GET).await), "not-allowed");
    let answer = ask(&server, &mut guest, &set("new", PASSWORD)).await;
    assert_eq!(condition(&answer), "not-allowed");
    assert_eq!(condition(&ask(&server, &mut guest, &preauth("guess")).await), "item-not-found");
    let token = token(&server, None).await;
    assert!(is_result(&ask(&server, &mut guest, &preauth(&token)).await));
    assert!(is_result(&ask(&server, &mut guest, GET).await));
    assert!(is_result(&ask(&server, &mut guest, &set("new", PASSWORD)).await));
    // It was for one.
    let answer = ask(&server, &mut guest, &set("second", PASSWORD)).await;
    assert_eq!(condition(&answer), "not-allowed");
    assert_eq!(condition(&ask(&server, &mut stranger(), &preauth(&token)).await), "item-not-found");
}

#[tokio::test]
async fn a_kept_name_is_filled_in() {
    let server = Server::start().await;
    let token = token(&server, Some("juliet")).await;
    let mut guest = stranger();
    ask(&server, &mut guest, &preauth(&token)).await;
    let form = ask(&server, &mut guest, GET).await;
    let query = form.child("query", ns::REGISTER).unwrap();
    assert_eq!(query.child("username", ns::REGISTER).unwrap().text(), "juliet");
    let answer = ask(&server, &mut guest, &set("romeo", PASSWORD)).await;
    assert_eq!(condition(&answer), "not-allowed");
    assert!(is_result(&ask(&server, &mut guest, &set("juliet", PASSWORD)).await));
}
