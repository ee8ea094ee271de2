use sha2::{Digest as _, Sha256};
use wello_wire::hex;

use super::*;

const CONFIG: &str = "[blocklists]\nfeeds = [
    { service = 'lists.example', node = 'muc_bans_sha256', kind = 'hashes' },
    { service = 'lists.example', node = 'spam_source_domains', kind = 'domains' },
]\nexcept = ['*.friend.example']";
pub(super) const LISTS: &str = "lists.example";
pub(super) const HASHES: &str = "muc_bans_sha256";
const DOMAINS: &str = "spam_source_domains";

pub(super) fn hash(name: &str) -> String {
    hex::encode(Sha256::digest(name))
}

fn items(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("<item id='{id}'/>")).collect()
}

/// A server that follows the lists, which hold these; the chore goes on until it is dropped.
pub(super) async fn following(hashes: &[&str], domains: &[&str]) -> (Server, Chores) {
    let server = Server::with(CONFIG).await;
    let chores = Chores::start(&server);
    for (node, ids) in [(HASHES, hashes), (DOMAINS, domains)] {
        let subscribe = server.elsewhere.next().await;
        let asked = subscribe.to_element().to_string();
        assert!(asked.contains("<subscribe") && asked.contains(node), "{asked}");
        assert!(asked.contains("jid='wello.example'"), "{asked}");
        answer(&server, &subscribe, "").await;
        let wanted = server.elsewhere.next().await;
        let content = format!("<items node='{node}'>{}</items>", items(ids));
        answer(&server, &wanted, &content).await;
    }
    // The chore has to store the last answer before the test goes on.
    while server.kernel.store.block_feeds.items(&feed(DOMAINS)).await.unwrap().len() < domains.len()
        || server.kernel.store.block_feeds.items(&feed(HASHES)).await.unwrap().len() < hashes.len()
    {
        tokio::task::yield_now().await;
    }
    (server, chores)
}

fn feed(node: &str) -> wello_store::BlockFeed {
    wello_store::BlockFeed { service: LISTS.to_owned(), node: node.to_owned() }
}

async fn answer(server: &Server, question: &Stanza, content: &str) {
    let id = question.id.as_ref().unwrap();
    let pubsub = "http://jabber.org/protocol/pubsub";
    let result = format!(
        "<iq type='result' id='{id}' from='{LISTS}' to='wello.example'>\
         <pubsub xmlns='{pubsub}'>{content}</pubsub></iq>"
    );
    server.kernel.handle_remote(stanza(&result)).await;
}

async fn notify(server: &Server, from: &str, node: &str, content: &str) -> Vec<Stanza> {
    server.receive(&event(from, node, content)).await
}

pub(super) fn event(from: &str, node: &str, content: &str) -> String {
    let event = "http://jabber.org/protocol/pubsub#event";
    format!(
        "<message from='{from}' to='wello.example'><event xmlns='{event}'>\
         <items node='{node}'>{content}</items></event></message>"
    )
}

/// What becomes of a message, and of entering a room.
async fn treated(server: &Server, from: &str) -> [Option<String>; 2] {
    let message = format!(
        "<message from='{from}/z' to='romeo@wello.example' type='chat'><body>buy</body></message>"
    );
    let join = join(from, from);
    [condition(&server.receive(&message).await), condition(&server.receive(&join).await)]
}

const SPAM: Option<&str> = Some("policy-violation");
const BANNED: Option<&str> = Some("forbidden");

#[tokio::test(flavor = "multi_thread")]
async fn who_is_listed_gets_in_nowhere() {
    let troll = hash("troll@x.example");
    let (server, _chores) = following(&[&troll], &["evil.example", "a.friend.example"]).await;
    server.room().await;
    let [message, join] = treated(&server, "troll@x.example").await;
    assert_eq!((message.as_deref(), join.as_deref()), (SPAM, BANNED));
    let [message, join] = treated(&server, "x@evil.example").await;
    assert_eq!((message.as_deref(), join), (SPAM, None), "domains are for strangers");
    for free in ["other@x.example", "x@sub.evil.example", "x@a.friend.example"] {
        assert_eq!(treated(&server, free).await, [None, None], "{free}");
    }
    let ask = "<presence type='subscribe' from='x@evil.example' to='romeo@wello.example'/>";
    assert_eq!(condition(&server.receive(ask).await).as_deref(), SPAM);
    let invite = "<message from='r@muc.x.example' to='romeo@wello.example'>\
        <x xmlns='http://jabber.org/protocol/muc#user'><invite from='troll@x.example'/></x></message>";
    assert_eq!(condition(&server.receive(invite).await).as_deref(), SPAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_heard_wherever_they_are() {
    let (server, _chores) = following(&[], &["evil.example"]).await;
    let romeo = server.session("romeo").await;
    let set = "<iq type='set' id='1'><query xmlns='jabber:iq:roster'>\
        <item jid='friend@evil.example'/></query></iq>";
    server.say(&romeo, set).await;
    assert_eq!(treated(&server, "friend@evil.example").await[0], None);
    assert_eq!(treated(&server, "other@evil.example").await[0].as_deref(), SPAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_service_itself_changes_its_list() {
    let (server, _chores) = following(&[], &["evil.example"]).await;
    let added = "<item id='innocent.example'/><retract id='evil.example'/>";
    for forger in ["liar.example", "lists.example/x", "troll@lists.example", "sub.lists.example"] {
        notify(&server, forger, DOMAINS, added).await;
        assert_eq!(treated(&server, "x@evil.example").await[0].as_deref(), SPAM, "{forger}");
        assert_eq!(treated(&server, "x@innocent.example").await[0], None, "{forger}");
    }
    notify(&server, LISTS, "some-other-node", added).await;
    assert_eq!(treated(&server, "x@evil.example").await[0].as_deref(), SPAM);
    assert!(notify(&server, LISTS, DOMAINS, added).await.is_empty());
    assert_eq!(treated(&server, "x@evil.example").await[0], None);
    assert_eq!(treated(&server, "x@innocent.example").await[0].as_deref(), SPAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing_and_follows_again() {
    let troll = hash("troll@x.example");
    let (server, chores) = following(&[&troll], &["evil.example"]).await;
    notify(&server, LISTS, DOMAINS, "<item id='late.example'/>").await;
    drop(chores);
    let server = server.restart(CONFIG).await;
    for listed in ["troll@x.example", "x@evil.example", "x@late.example"] {
        assert_eq!(treated(&server, listed).await[0].as_deref(), SPAM, "{listed}");
    }
    server.elsewhere.take();
    let _chores = Chores::start(&server);
    assert!(server.elsewhere.next().await.to_element().to_string().contains("<subscribe"));
}
