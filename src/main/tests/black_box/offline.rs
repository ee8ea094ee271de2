//! Messages that wait for a login are there until the client has them (XEP-0160, XEP-0198).

use crate::client::{Client, Gone, attribute, text};
use crate::database;
use crate::server::Server;

/// More than are sent at once.
const MESSAGES: usize = 150;
const ACKNOWLEDGED: usize = 30;

#[tokio::test]
async fn offline_messages_survive_a_kill_on_sqlite() {
    offline_messages_survive_a_kill(database::SQLITE).await;
}

#[tokio::test]
async fn offline_messages_survive_a_kill_on_postgresql() {
    if let Some(url) = database::postgres().await {
        offline_messages_survive_a_kill(&url).await;
    }
}

async fn offline_messages_survive_a_kill(storage: &str) {
    let accounts = ["romeo", "juliet"].map(str::to_owned);
    let mut server = Server::start(storage, &accounts, "").await;
    write(&server).await.unwrap();
    let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();

    // The connection is lost before everything is acknowledged.
    let mut juliet = Client::login(&server, "juliet", "phone").await.unwrap();
    juliet.send("<enable xmlns='urn:xmpp:sm:3'/>").await.unwrap();
    juliet.find("<enabled").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    let (mut stanzas, mut bodies) = (0, Vec::new());
    while bodies.len() < ACKNOWLEDGED {
        let item = juliet.next().await.unwrap();
        stanzas += usize::from(["<m", "<p", "<i"].iter().any(|start| item.starts_with(start)));
        bodies.extend(text(&item, "body").map(str::to_owned));
    }
    assert_eq!(bodies, expected[..ACKNOWLEDGED]);
    juliet.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{stanzas}'/>")).await.unwrap();
    wait_for_answers(&mut juliet).await.unwrap();
    server.kill().await;
    server.launch().await;

    // The rest comes, once and in order; here it counts as delivered when it is written.
    let mut juliet = Client::login(&server, "juliet", "phone").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    let mut bodies = Vec::new();
    while bodies.len() < MESSAGES - ACKNOWLEDGED {
        let message = juliet.find("<message").await.unwrap();
        assert!(message.contains("<delay ") && message.contains("<stanza-id "), "{message}");
        bodies.extend(text(&message, "body").map(str::to_owned));
    }
    assert_eq!(bodies, expected[ACKNOWLEDGED..]);
    wait_for_answers(&mut juliet).await.unwrap();
    server.kill().await;
    server.launch().await;

    let mut juliet = Client::login(&server, "juliet", "phone").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    assert_eq!(wait_for_answers(&mut juliet).await.unwrap(), 0);
}

/// Returns when all messages are stored.
async fn write(server: &Server) -> Result<(), Gone> {
    let mut romeo = Client::login(server, "romeo", "phone").await?;
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>").await?;
    romeo.find("<enabled").await?;
    for number in 0..MESSAGES {
        let message =
            format!("<message to='juliet@localhost' type='chat'><body>{number}</body></message>");
        romeo.send(&message).await?;
    }
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>").await?;
    let answer = romeo.find("<a ").await?;
    assert_eq!(attribute(&answer, "h"), Some(MESSAGES.to_string().as_str()));
    Ok(())
}

/// Asks twice, so that what the server did about everything before the second question is done;
/// returns how many messages came meanwhile.
async fn wait_for_answers(client: &mut Client) -> Result<usize, Gone> {
    let mut messages = 0;
    for id in ["first", "second"] {
        let ping =
            format!("<iq type='get' to='localhost' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>");
        client.send(&ping).await?;
        loop {
            let item = client.next().await?;
            if item.starts_with("<iq") && attribute(&item, "id") == Some(id) {
                break;
            }
            messages += usize::from(item.starts_with("<message"));
        }
    }
    Ok(messages)
}
