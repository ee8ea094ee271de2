//! Servers that cannot be reached or are not who they say.

use std::net::Ipv4Addr;

use crate::certificates::{Authority, Flaw};
use crate::client::{Client, attribute};
use crate::dns::{Dns, Record};
use crate::server::{Plan, Server};

const IMPATIENT: &str = "retry_seconds = 0";

/// What the sender of a message to `to` is told.
pub async fn told(romeo: &mut Client, to: &str) -> String {
    let message = format!("<message to='{to}' type='chat' id='m'><body>hi</body></message>");
    romeo.send(&message).await.unwrap();
    let answer = romeo.find("<message").await.unwrap();
    assert_eq!(attribute(&answer, "type"), Some("error"), "{answer}");
    assert_eq!(attribute(&answer, "from"), Some(to), "{answer}");
    answer
}

async fn romeo(dns: &Dns, s2s: &str) -> (Server, Client) {
    let plan = Plan { accounts: &["romeo"], s2s, ..Plan::default() };
    let a = Server::start(dns, plan).await;
    let romeo = Client::login(&a, "romeo", "x").await.unwrap();
    (a, romeo)
}

#[tokio::test]
async fn domains_that_are_not_there() {
    let dns = Dns::start().await;
    let (_a, mut romeo) = romeo(&dns, IMPATIENT).await;
    // Nothing in DNS; a service that is said not to be; an address that nobody listens on; an address that
    // only this machine's network has; a name that is another name for itself; our own server.
    dns.serve("dead.example", "xmpp-server", 1);
    dns.add("_xmpp-server._tcp.none.example", Record::Service(0, 0, ".".into()));
    dns.add("private.example", Record::Address(Ipv4Addr::new(10, 0, 0, 1)));
    dns.add("loop.example", Record::Alias("loop.example".into()));
    dns.serve("self.example", "xmpp-server", _a.address("s2s").port());
    for (domain, condition) in [
        ("nowhere.example", "remote-server-not-found"),
        ("none.example", "remote-server-not-found"),
        ("dead.example", "remote-server-timeout"),
        ("private.example", "remote-server-not-found"),
        ("loop.example", "remote-server-not-found"),
        ("self.example", "remote-server-not-found"),
        ("192.168.7.7", "remote-server-not-found"),
    ] {
        let answer = told(&mut romeo, &format!("x@{domain}")).await;
        assert!(answer.contains(condition), "{domain}: {answer}");
    }
    // It is not looked up again for each stanza.
    let asked = dns.asked("_xmpp-server._tcp.dead.example");
    for _ in 0..5 {
        told(&mut romeo, "x@dead.example").await;
    }
    assert_eq!(dns.asked("_xmpp-server._tcp.dead.example"), asked);
}

#[tokio::test]
async fn everything_that_waited_is_returned_once() {
    let dns = Dns::start().await;
    let (_a, mut romeo) = romeo(&dns, IMPATIENT).await;
    // Somebody listens who says nothing.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    dns.serve("mute.example", "xmpp-server", mute.local_addr().unwrap().port());
    for number in 0..20 {
        let message = format!(
            "<message to='x@mute.example' type='chat' id='m{number}'><body>hi</body></message>"
        );
        romeo.send(&message).await.unwrap();
    }
    // The answer shows that all of them are in the queue.
    romeo.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>").await.unwrap();
    romeo.find("<iq").await.unwrap();
    drop(mute.accept().await.unwrap());
    for number in 0..20 {
        let answer = romeo.find("<message").await.unwrap();
        assert_eq!(attribute(&answer, "id"), Some(format!("m{number}").as_str()), "{answer}");
        assert!(answer.contains("remote-server-timeout"), "{answer}");
    }
    romeo.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>").await.unwrap();
    let next = romeo.next().await.unwrap();
    assert!(next.starts_with("<iq"), "nothing twice: {next}");
}

#[tokio::test]
async fn a_full_queue_is_told() {
    let dns = Dns::start().await;
    let s2s = "stanza_bytes = 10000\noutbox_bytes = 20000";
    let (_a, mut romeo) = romeo(&dns, s2s).await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    dns.serve("mute.example", "xmpp-server", mute.local_addr().unwrap().port());
    let body = "x".repeat(8000);
    for _ in 0..3 {
        let message =
            format!("<message to='x@mute.example' type='chat'><body>{body}</body></message>");
        romeo.send(&message).await.unwrap();
    }
    let answer = romeo.find("<message").await.unwrap();
    assert!(answer.contains("resource-constraint"), "{answer}");
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_waited() {
    let dns = Dns::start().await;
    let (_a, mut romeo) = romeo(&dns, "retry_seconds = 60").await;
    let port = {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        held.local_addr().unwrap().port()
    };
    dns.serve("b.example", "xmpp-server", port);
    let message = "<message to='juliet@b.example' type='chat'><body>hi</body></message>";
    romeo.send(message).await.unwrap();
    romeo.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>").await.unwrap();
    romeo.find("<iq").await.unwrap();
    let plan = Plan { domain: "b.example", accounts: &["juliet"], port, ..Plan::default() };
    let b = Server::launch(&dns, plan).await;
    let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    juliet.find("<message from='romeo@a.example/x'").await.unwrap();
}

#[tokio::test]
async fn certificates_that_prove_nothing() {
    let (good, other) = (Authority::new(), Authority::new());
    for (issuer, flaw) in [
        (Some(&good), Flaw::Expired),
        (Some(&good), Flaw::OtherName),
        (Some(&good), Flaw::CommonName),
        (Some(&good), Flaw::Account),
        (Some(&other), Flaw::None),
        (None, Flaw::None),
    ] {
        let dns = Dns::start().await;
        let strict = "require_certificate = true\nretry_seconds = 0";
        let a = Server::start(
            &dns,
            Plan {
                accounts: &["romeo"],
                s2s: strict,
                certificate: Some((&good, Flaw::None)),
                trusts: Some(&good),
                ..Plan::default()
            },
        )
        .await;
        let b = Server::start(
            &dns,
            Plan {
                domain: "b.example",
                accounts: &["juliet"],
                s2s: IMPATIENT,
                certificate: issuer.map(|issuer| (issuer, flaw)),
                trusts: Some(&good),
                ..Plan::default()
            },
        )
        .await;
        let mut romeo = Client::login(&a, "romeo", "x").await.unwrap();
        let answer = told(&mut romeo, "juliet@b.example").await;
        assert!(answer.contains("remote-server-timeout"), "{answer}");
        let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
        let answer = told(&mut juliet, "romeo@a.example").await;
        assert!(answer.contains("remote-server-timeout"), "{answer}");
        assert!(!a.log().contains("another server may send"), "{}", a.log());
    }
}

#[tokio::test]
async fn domains_that_are_denied() {
    let dns = Dns::start().await;
    let (a, mut romeo) = romeo(&dns, "deny = ['b.example', '*.b.example']").await;
    let plan =
        Plan { domain: "b.example", accounts: &["juliet"], s2s: IMPATIENT, ..Plan::default() };
    let b = Server::start(&dns, plan).await;
    let answer = told(&mut romeo, "juliet@b.example").await;
    assert!(answer.contains("not-allowed"), "{answer}");
    let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
    let answer = told(&mut juliet, "romeo@a.example").await;
    assert!(answer.contains("remote-server-timeout"), "{answer}");
    assert!(!a.log().contains("another server may send"));
}

#[tokio::test]
async fn the_operator_can_look_a_domain_up() {
    let dns = Dns::start().await;
    let (a, _romeo) = romeo(&dns, "deny = ['evil.example']").await;
    let _b = Server::start(&dns, Plan { domain: "b.example", ..Plan::default() }).await;
    dns.serve("dead.example", "xmpp-server", 1);
    dns.serve("self.example", "xmpp-server", a.address("s2s").port());
    for (domain, succeeds, lines) in [
        ("b.example", true, &["(STARTTLS): connected", "UnknownIssuer", "takes dialback"][..]),
        ("nowhere.example", false, &["DNS says that there is no nowhere.example"]),
        ("dead.example", false, &["refused", "error    server: dead.example cannot"]),
        ("self.example", false, &["host-unknown"]),
        ("evil.example", false, &["does not talk to evil.example: in s2s.deny"]),
    ] {
        let (found, text) = a.check(domain).await;
        assert_eq!(found, succeeds, "{text}");
        assert!(lines.iter().all(|line| text.contains(line)), "{domain}: {text}");
    }
}
