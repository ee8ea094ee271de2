use wello_store::{RosterItem, Subscription};

use super::*;

fn subscribe(to: &str, token: &str) -> String {
    format!(
        "<presence type='subscribe' to='{to}'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/>\
         </presence>"
    )
}

async fn item(server: &Server, account: &str, contact: &str) -> Option<RosterItem> {
    server.kernel.store.roster.entry(account, contact).await.unwrap().item
}

async fn requests(server: &Server, account: &str) -> usize {
    server.kernel.store.roster.requests(account).await.unwrap().len()
}

const INVITER: &str = "user@wello.example";
const LOCAL: &str = "friend@wello.example";
const REMOTE: &str = "friend@far.example";

async fn started() -> (Server, String) {
    let server = Server::start().await;
    let inviter = server.account(INVITER).await;
    let token = server.kernel.accounts.invite_contact(&inviter).await.unwrap().token;
    (server, token)
}

#[tokio::test]
async fn an_invited_neighbour_is_a_contact_at_once() {
    let (server, token) = started().await;
    let friend = server.account(LOCAL).await;
    let session = server.session(&friend, ClientInfo::default()).await;
    server.say(&session, &subscribe(INVITER, &token)).await;
    for (account, contact) in [(INVITER, LOCAL), (LOCAL, INVITER)] {
        let item = item(&server, account, contact).await.unwrap();
        assert_eq!((item.subscription, item.ask), (Subscription::Both, false));
        assert_eq!(requests(&server, account).await, 0);
    }
}

#[tokio::test]
async fn an_invited_contact_of_elsewhere_is_approved_and_asked() {
    let (server, token) = started().await;
    let from = bare(REMOTE);
    server.kernel.route(stanza(&subscribe(INVITER, &token)).with_from(from)).await;
    let item = item(&server, INVITER, REMOTE).await.unwrap();
    assert_eq!((item.subscription, item.ask), (Subscription::From, true));
    assert_eq!(requests(&server, INVITER).await, 0);
}

#[tokio::test]
async fn without_a_good_token_the_owner_is_asked() {
    let (server, token) = started().await;
    let stranger = server.account("stranger@wello.example").await;
    let session = server.session(&stranger, ClientInfo::default()).await;
    server.say(&session, &subscribe(INVITER, "guess")).await;
    assert_eq!(item(&server, INVITER, "stranger@wello.example").await, None);
    assert_eq!(requests(&server, INVITER).await, 1);
    // Nor is a good token good for somebody else's roster.
    let other = server.account("other@wello.example").await;
    server.say(&session, &subscribe(other.as_str(), &token)).await;
    assert_eq!(item(&server, "other@wello.example", "stranger@wello.example").await, None);
    assert_eq!(requests(&server, "other@wello.example").await, 1);
    // The token was not used up by that.
    server.say(&session, &subscribe(INVITER, &token)).await;
    let item = item(&server, INVITER, "stranger@wello.example").await.unwrap();
    assert_eq!(item.subscription, Subscription::Both);
    assert_eq!(requests(&server, INVITER).await, 0);
}
