//! Messages that wait for a login, and how long messages are kept, with all modules and without
//! sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_store::{Options, Query, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_wire::jid::BareJid;
use wello_wire::stanza::{Kind, Stanza, StoredCopy};

struct Server {
    kernel: Arc<Kernel>,
    clock: Clock,
    _dir: TempDir,
}

impl Server {
    async fn with(config: &str) -> Server {
        let text = format!("hosts = ['wello.example']\n{config}");
        let config = Config::parse(&text, []).unwrap();
        let dir = TempDir::new().unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let (modules, metrics) = (wello_modules::all(&config), Arc::new(Metrics::default()));
        let kernel = Kernel::with_clock(config, store, metrics, modules, clock.clone());
        let kernel = kernel.await.unwrap();
        for name in ["romeo", "juliet"] {
            kernel.accounts.create(&bare(name), "correct horse", Role::User).await.unwrap();
        }
        Server { kernel, clock, _dir: dir }
    }

    async fn session(&self, name: &str) -> Arc<Session> {
        let info = ClientInfo::default();
        self.kernel.bind(&bare(name), &ResourceWish::Any, info).await.unwrap()
    }

    /// Sends messages from romeo to juliet; they are stored when it returns.
    async fn write(&self, bodies: impl IntoIterator<Item = String>) {
        self.write_to("juliet@wello.example", bodies).await;
    }

    async fn write_to(&self, to: &str, bodies: impl IntoIterator<Item = String>) {
        let romeo = self.session("romeo").await;
        for body in bodies {
            let message = format!(
                "<message xmlns='jabber:client' to='{to}' type='chat'>\
                 <body>{body}</body></message>"
            );
            let message = Stanza::from_element(message.parse().unwrap()).unwrap();
            let ticket = self.kernel.handle_client(&romeo, message).await.unwrap();
            if let Some(ticket) = ticket {
                ticket.wait().await.unwrap();
            }
        }
        self.kernel.end_session(&romeo, []).await;
    }

    async fn say(&self, session: &Arc<Session>, xml: &str) {
        let stanza = Stanza::from_element(xml.parse().unwrap()).unwrap();
        self.kernel.handle_client(session, stanza).await.unwrap();
    }

    async fn available(&self, session: &Arc<Session>) -> Vec<Stanza> {
        self.say(session, "<presence xmlns='jabber:client'/>").await;
        messages(session)
    }

    /// As when the client has acknowledged these; returns what comes then.
    async fn acknowledge(&self, session: &Arc<Session>, messages_: &[Stanza]) -> Vec<Stanza> {
        let copies: Vec<StoredCopy> = messages_.iter().filter_map(|one| one.stored).collect();
        assert_eq!(copies.len(), messages_.len());
        self.kernel.delivered(session, &copies).await;
        messages(session)
    }

    async fn waiting(&self) -> u64 {
        let usage = self.kernel.store.offline.usage("juliet@wello.example");
        usage.await.unwrap().messages
    }
}

fn bare(name: &str) -> BareJid {
    format!("{name}@wello.example").parse().unwrap()
}

fn messages(session: &Session) -> Vec<Stanza> {
    let deliveries = std::iter::from_fn(|| session.inbox().take());
    let stanzas = deliveries.filter_map(|delivery| match delivery {
        Delivery::Stanza(stanza) if stanza.kind == Kind::Message => Some(stanza),
        _ => None,
    });
    stanzas.collect()
}

fn bodies(messages: &[Stanza]) -> Vec<String> {
    messages.iter().filter_map(Stanza::body).collect()
}

#[tokio::test]
async fn what_was_not_acknowledged_is_delivered_again() {
    let server = Server::with("").await;
    server.write(["1", "2", "3"].map(str::to_owned)).await;
    let phone = server.session("juliet").await;
    let got = server.available(&phone).await;
    assert_eq!(bodies(&got), ["1", "2", "3"]);
    assert_eq!(server.waiting().await, 3);
    server.acknowledge(&phone, &got[..1]).await;
    assert_eq!(server.waiting().await, 2);
    // What was on its way comes back with the session, and must not be stored a second time.
    server.kernel.end_session(&phone, got[1..].to_vec()).await;
    assert_eq!(server.waiting().await, 2);

    let laptop = server.session("juliet").await;
    let got = server.available(&laptop).await;
    assert_eq!(bodies(&got), ["2", "3"]);
    assert!(got.iter().all(|message| message.has_child("delay", "urn:xmpp:delay")));
    server.acknowledge(&laptop, &got).await;
    assert_eq!(server.waiting().await, 0);
}

#[tokio::test]
async fn one_session_gets_them_and_the_next_one_when_it_fails() {
    let server = Server::with("").await;
    server.write(["1", "2"].map(str::to_owned)).await;
    let (phone, laptop) = (server.session("juliet").await, server.session("juliet").await);
    let got = server.available(&phone).await;
    assert_eq!(bodies(&got), ["1", "2"]);
    assert_eq!(bodies(&server.available(&laptop).await), [""; 0]);
    server.kernel.end_session(&phone, got).await;
    assert_eq!(bodies(&messages(&laptop)), ["1", "2"]);
}

#[tokio::test]
async fn what_a_lost_session_did_not_get_is_for_those_who_came_later() {
    let server = Server::with("").await;
    let phone = server.session("juliet").await;
    server.available(&phone).await;
    server.write(["1".to_owned()]).await;
    server.clock.advance(1_000_000);
    let laptop = server.session("juliet").await;
    assert_eq!(bodies(&server.available(&laptop).await), [""; 0]);
    server.clock.advance(1_000_000);
    server.write(["2".to_owned()]).await;
    assert_eq!(bodies(&messages(&laptop)), ["2"]);
    let lost = messages(&phone);
    assert_eq!(bodies(&lost), ["1", "2"]);
    server.kernel.end_session(&phone, lost).await;
    let got = messages(&laptop);
    assert_eq!(bodies(&got), ["1"], "it has the second one");
    assert!(got[0].has_child("delay", "urn:xmpp:delay"));
    assert_eq!(server.waiting().await, 0);
}

#[tokio::test]
async fn what_only_a_lost_session_was_sent_is_for_those_who_have_no_copy() {
    for carbons in [false, true] {
        let server = Server::with("").await;
        let phone = server.session("juliet").await;
        let laptop = server.session("juliet").await;
        for session in [&phone, &laptop] {
            server.available(session).await;
        }
        laptop.set_carbons(carbons);
        server.clock.advance(1_000_000);
        server.write_to(phone.jid.as_str(), ["1".to_owned()]).await;
        assert_eq!(messages(&laptop).len(), usize::from(carbons), "a copy");
        let lost = messages(&phone);
        assert_eq!(bodies(&lost), ["1"]);
        server.kernel.end_session(&phone, lost).await;
        assert_eq!(messages(&laptop).len(), usize::from(!carbons), "and no other");
    }
}

#[tokio::test]
async fn what_came_while_it_was_away_is_sent_to_the_same_session() {
    let server = Server::with("").await;
    let phone = server.session("juliet").await;
    server.available(&phone).await;
    server.say(&phone, "<presence xmlns='jabber:client' type='unavailable'/>").await;
    server.write(["1".to_owned()]).await;
    assert_eq!(bodies(&server.available(&phone).await), ["1"]);
}

#[tokio::test]
async fn a_client_gets_no_more_at_once_than_it_has_room_for() {
    let server = Server::with("[offline]\nbytes = 4_000_000").await;
    // Three of them are more than may be on the way at once.
    let long = |number: u32| format!("{number}{}", "x".repeat(100_000));
    server.write((0..5).map(long)).await;
    let phone = server.session("juliet").await;
    let mut got = server.available(&phone).await;
    let mut all = Vec::new();
    while !got.is_empty() {
        assert!(got.len() <= 2, "{}", got.len());
        all.extend(bodies(&got));
        got = server.acknowledge(&phone, &got).await;
    }
    assert_eq!(all, (0..5).map(long).collect::<Vec<_>>());
    assert_eq!((server.waiting().await, phone.receiving_offline()), (0, None));
}

#[tokio::test]
async fn the_limits_hold() {
    for config in ["[offline]\nmessages = 2", "[offline]\nbytes = 2500"] {
        let server = Server::with(config).await;
        server.write((0..5).map(|number| format!("{number}{}", "x".repeat(1000)))).await;
        assert_eq!(server.waiting().await, 2, "{config}");
    }
}

#[tokio::test]
async fn they_carry_their_id_in_the_archive() {
    let server = Server::with("").await;
    let phone = server.session("juliet").await;
    server.available(&phone).await;
    server.write(["live".to_owned()]).await;
    let got = messages(&phone);
    // It comes back from a session that never acknowledged it.
    server.kernel.end_session(&phone, got).await;
    server.write(["later".to_owned()]).await;
    let laptop = server.session("juliet").await;
    let got = server.available(&laptop).await;
    let ids = got.iter().map(|message| {
        let id = message.child("stanza-id", "urn:xmpp:sid:0").unwrap();
        assert_eq!(id.attr("by"), Some("juliet@wello.example"));
        id.attr("id").unwrap().to_owned()
    });
    let ids: Vec<String> = ids.collect();
    let query = Query { owner: "juliet@wello.example".to_owned(), max: 10, ..Query::default() };
    let archived = server.kernel.store.archive.query(&query).await.unwrap().messages;
    let archived: Vec<String> = archived.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids, archived);
}

#[tokio::test]
async fn old_messages_are_removed_when_the_chores_run() {
    const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
    let server = Server::with("[archive]\nkeep_days = 2").await;
    server.write(["old".to_owned()]).await;
    server.clock.advance(3 * DAY_MICROS);
    server.write(["new".to_owned()]).await;
    assert_eq!(server.waiting().await, 2);
    tokio::time::pause();
    let kernel = Arc::clone(&server.kernel);
    let gone = async {
        while server.waiting().await == 2 {
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    };
    tokio::select! {
        () = kernel.run_chores() => {}
        () = gone => {}
    }
    tokio::time::resume();
    let phone = server.session("juliet").await;
    assert_eq!(bodies(&server.available(&phone).await), ["new"]);
    for owner in ["juliet@wello.example", "romeo@wello.example"] {
        let query = Query { owner: owner.to_owned(), max: 10, ..Query::default() };
        let page = server.kernel.store.archive.query(&query).await.unwrap();
        assert_eq!(page.messages.len(), 1, "{owner}");
    }
}
