//! How fast clients may send.

use tokio::sync::mpsc::error::TrySendError;
use wello_wire::jid::Jid;
use wello_wire::stanza::{MessageType, Stanza};

use super::*;

/// A login fits into the burst; a message on top of it takes hours.
const SLOW: &str = "\n[limits]\nrate_bytes_per_second = 1\nburst_bytes = 6000";
const MESSAGES: usize = 200;

fn message() -> Bytes {
    let body = "x".repeat(8000);
    format!("<message xmlns='jabber:client' to='nobody@x.example'><body>{body}</body></message>")
        .into()
}

/// The next message.
async fn message_to(client: &mut Client) -> Element {
    loop {
        let heard = client.hear().await;
        if heard.is("message", ns::CLIENT) {
            return heard;
        }
    }
}

#[tokio::test]
async fn who_sends_too_fast_is_not_read_and_still_hears() {
    let world = World::with(SLOW, RootCertStore::empty()).await;
    let (mut client, success) = world.log_in(&plain(PASSWORD, BIND)).await;
    client.to_server.send(message()).await.unwrap();
    let answer = message_to(&mut client).await;
    assert_eq!(answer.attr("type"), Some("error"), "to what was read");
    let mut waiting = 0;
    while client.to_server.try_send(message()).is_ok() {
        waiting += 1;
        assert!(waiting <= MESSAGES, "all is read");
    }
    assert!(matches!(client.to_server.try_send(message()), Err(TrySendError::Full(_))));
    let jid: Jid = identifier(&success).parse().unwrap();
    let session = world.kernel.sessions.find(&jid).unwrap();
    let news = Stanza::message(MessageType::Headline).with_id("news").with_to(jid);
    session.post(news).unwrap();
    assert_eq!(message_to(&mut client).await.attr("id"), Some("news"));
    assert!(matches!(client.to_server.try_send(message()), Err(TrySendError::Full(_))));
}

#[tokio::test]
async fn administrators_are_as_fast_as_they_like() {
    let world = World::with(SLOW, RootCertStore::empty()).await;
    world.kernel.store.accounts.set_role("user@wello.example", Role::Admin).await.unwrap();
    let (mut client, _) = world.log_in(&plain(PASSWORD, BIND)).await;
    for _ in 0..MESSAGES {
        client.to_server.send(message()).await.unwrap();
        message_to(&mut client).await;
    }
}
