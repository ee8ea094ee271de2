//! Programs that serve a domain of their own.

use std::time::{Duration, Instant};

use sha1::{Digest as _, Sha1};
use tokio::net::TcpStream;

use crate::client::{Client, attribute, text};
use crate::dns::Dns;
use crate::server::{Plan, Server};

const SECRET: &str = "open sesame";
const CONFIG: &str = "[[component]]\ndomain = 'irc.a.example'\nsecret = 'open sesame'\n\
    [[component]]\ndomain = 'hidden.a.example'\nsecret = 'open sesame'\nlisted = false\n";

type Component = Client<TcpStream>;

async fn connect(server: &Server) -> Component {
    Client::new(TcpStream::connect(server.address("components")).await.unwrap())
}

/// Opens the stream and shows a secret; returns what is answered.
async fn handshake(component: &mut Component, domain: &str, secret: &str) -> String {
    let header = format!(
        "<stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
    );
    component.send(&header).await.unwrap();
    let answer = component.next().await.unwrap();
    let id = attribute(&answer, "id").unwrap().to_owned();
    let digest = Sha1::digest(format!("{id}{secret}"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    component.send(&format!("<handshake>{digest}</handshake>")).await.unwrap();
    component.next().await.unwrap()
}

/// What a server says of a component with these limits.
fn limited(limits: &str) -> String {
    format!(
        "[[component]]\ndomain = 'irc.a.example'\nsecret = '{SECRET}'\nlimits = {{ {limits} }}\n"
    )
}

async fn gateway(server: &Server) -> Component {
    let mut component = connect(server).await;
    assert_eq!(handshake(&mut component, "irc.a.example", SECRET).await, "<handshake/>");
    component
}

/// Romeo's server with components, and his client.
async fn verona(dns: &Dns) -> (Server, Client) {
    verona_with(dns, CONFIG).await
}

async fn verona_with(dns: &Dns, components: &str) -> (Server, Client) {
    let plan = Plan { accounts: &["romeo"], more: components, ..Plan::default() };
    let a = Server::start(dns, plan).await;
    let mut romeo = Client::login(&a, "romeo", "x").await.unwrap();
    romeo.send("<presence/>").await.unwrap();
    romeo.find("<presence").await.unwrap();
    (a, romeo)
}

#[tokio::test]
async fn users_here_and_elsewhere_reach_it() {
    let dns = Dns::start().await;
    let (a, mut romeo) = verona(&dns).await;
    dns.serve("irc.a.example", "xmpp-server", a.address("s2s").port());
    let plan = Plan { domain: "b.example", accounts: &["juliet"], ..Plan::default() };
    let b = Server::start(&dns, plan).await;
    let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    juliet.find("<presence").await.unwrap();
    let mut irc = gateway(&a).await;
    for (client, address) in [(&mut romeo, "romeo@a.example"), (&mut juliet, "juliet@b.example")] {
        let message = "<message to='%23room@irc.a.example' type='chat'><body>in</body></message>";
        client.send(message).await.unwrap();
        let came = irc.find("<message").await.unwrap();
        assert!(came.contains("<body>in</body>") && !came.contains("xmlns"), "{came}");
        assert!(attribute(&came, "from").unwrap().starts_with(address), "{came}");
        let answer = format!(
            "<message from='%23room@irc.a.example' to='{address}' type='chat'><body>out</body>\
             </message>"
        );
        irc.send(&answer).await.unwrap();
        let came = client.find("<message").await.unwrap();
        assert_eq!(text(&came, "body"), Some("out"), "{came}");
    }
}

#[tokio::test]
async fn it_asks_and_is_asked() {
    let dns = Dns::start().await;
    let (a, mut romeo) = verona(&dns).await;
    let mut irc = gateway(&a).await;
    let items = "<iq type='get' id='i' to='a.example'>\
        <query xmlns='http://jabber.org/protocol/disco#items'/></iq>";
    romeo.send(items).await.unwrap();
    let answer = romeo.find("<iq").await.unwrap();
    assert!(answer.contains("jid='irc.a.example'") && !answer.contains("hidden"), "{answer}");
    let info = "<iq type='get' id='d' to='irc.a.example'>\
        <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    romeo.send(info).await.unwrap();
    let asked = irc.find("<iq").await.unwrap();
    let id = attribute(&asked, "id").unwrap();
    let answer = format!(
        "<iq type='result' id='{id}' from='irc.a.example' to='romeo@a.example/x'>\
         <query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='gateway' type='irc'/></query></iq>"
    );
    irc.send(&answer).await.unwrap();
    assert!(romeo.find("<iq").await.unwrap().contains("category='gateway'"));
    irc.send(
        "<iq type='get' id='p' from='irc.a.example' to='a.example'><ping xmlns='urn:xmpp:ping'/>\
         </iq>",
    )
    .await
    .unwrap();
    let pong = irc.find("<iq").await.unwrap();
    assert_eq!(attribute(&pong, "type"), Some("result"), "{pong}");
}

#[tokio::test]
async fn who_is_not_it_is_turned_away() {
    let dns = Dns::start().await;
    let (a, mut romeo) = verona(&dns).await;
    let mut liar = connect(&a).await;
    let answer = handshake(&mut liar, "irc.a.example", "wrong").await;
    assert!(answer.contains("not-authorized"), "{answer}");
    let mut liar = connect(&a).await;
    liar.send(
        "<stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='a.example'>",
    )
    .await
    .unwrap();
    liar.next().await.unwrap();
    assert!(liar.next().await.unwrap().contains("host-unknown"));
    for from in ["romeo@a.example", "hidden.a.example", "x@b.example"] {
        let mut irc = gateway(&a).await;
        let forged =
            format!("<message from='{from}' to='romeo@a.example'><body>x</body></message>");
        irc.send(&forged).await.unwrap();
        let answer = irc.find("<stream:error").await.unwrap();
        assert!(answer.contains("invalid-from"), "{answer}");
    }
    // Nobody has it now.
    let message = "<message to='x@irc.a.example' type='chat'><body>hi</body></message>";
    loop {
        // The connections above may not be gone yet.
        romeo.send(message).await.unwrap();
        let answer = romeo.find("<message").await.unwrap();
        if answer.contains("service-unavailable") {
            assert!(answer.contains("type='wait'"), "{answer}");
            break;
        }
    }
}

#[tokio::test]
async fn several_connections_share_the_work() {
    let dns = Dns::start().await;
    let (a, mut romeo) = verona(&dns).await;
    let (mut one, mut two) = (gateway(&a).await, gateway(&a).await);
    for number in 0..40 {
        let message = format!("<message to='u{number}@irc.a.example' id='{number}'/>");
        romeo.send(&message).await.unwrap();
    }
    let mut seen = [0, 0];
    while seen[0] + seen[1] < 40 {
        tokio::select! {
            came = one.find("<message") => { came.unwrap(); seen[0] += 1; }
            came = two.find("<message") => { came.unwrap(); seen[1] += 1; }
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    drop(one);
    // What was for the first goes to the second.
    let mut number = 0;
    while number < 40 {
        let message = format!("<message to='u{number}@irc.a.example' id='again'/>");
        romeo.send(&message).await.unwrap();
        number += 1;
    }
    two.find("<message").await.unwrap();
}

#[tokio::test]
async fn what_sends_too_fast_is_read_slowly() {
    let dns = Dns::start().await;
    let limits = limited("rate_bytes_per_second = 50000, burst_bytes = 50000");
    let (a, _romeo) = verona_with(&dns, &limits).await;
    let mut irc = gateway(&a).await;
    let begun = Instant::now();
    let filling = "x".repeat(10_000);
    for _ in 0..15 {
        let message = format!(
            "<message from='irc.a.example' to='nobody@a.example' type='headline'>\
             <body>{filling}</body></message>"
        );
        irc.send(&message).await.unwrap();
    }
    let ping = "<iq type='get' id='p' from='irc.a.example' to='a.example'>\
        <ping xmlns='urn:xmpp:ping'/></iq>";
    irc.send(ping).await.unwrap();
    irc.find("<iq").await.unwrap();
    // 150 kB: a third of it is the burst, and the last that was read is paused for afterwards.
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_does_not_read_is_sent_no_more_than_its_queue_holds() {
    let dns = Dns::start().await;
    let (a, mut romeo) = verona_with(&dns, &limited("queue_bytes = 200000")).await;
    let irc = gateway(&a).await;
    let filling = "x".repeat(50_000);
    let full = loop {
        let message = format!(
            "<message to='u@irc.a.example' id='m'><body>{filling}</body></message>\
             <iq type='get' id='p' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
        );
        romeo.send(&message).await.unwrap();
        let answer = romeo.next().await.unwrap();
        if answer.starts_with("<message") {
            break answer;
        }
    };
    assert!(full.contains("resource-constraint"), "{full}");
    drop(irc);
}
