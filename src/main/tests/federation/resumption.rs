//! Connections between servers that break (XEP-0198).

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::attacks::{Victim, acceptor};
use crate::certificates::{Authority, Flaw};
use crate::client::{Client, attribute, text};
use crate::dns::Dns;
use crate::relay::{Noticed, Relay};
use crate::server::{Plan, Server};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const PING: &str = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";

fn message(to: &str, body: impl std::fmt::Display) -> String {
    format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")
}

/// The bodies of the next messages.
async fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let came = client.find("<message").await.unwrap();
        assert_ne!(attribute(&came, "type"), Some("error"), "{came}");
        bodies.push(text(&came, "body").unwrap().to_owned());
    }
    bodies
}

/// Romeo and Juliet, whose servers are connected by what breaks.
async fn cut_off(noticed: Noticed, s2s: &str) {
    let dns = Dns::start().await;
    let authority = Authority::new();
    let plan = |domain, accounts| Plan {
        domain,
        accounts,
        s2s,
        certificate: Some((&authority, Flaw::None)),
        trusts: Some(&authority),
        ..Plan::default()
    };
    let a = Server::start(&dns, plan("a.example", &["romeo"])).await;
    let b = Server::launch(&dns, plan("b.example", &["juliet"])).await;
    let relay = Relay::start(b.address("s2s")).await;
    dns.serve("b.example", "xmpp-server", relay.port);
    let mut romeo = Client::login(&a, "romeo", "x").await.unwrap();
    let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    romeo.send("<presence/>").await.unwrap();
    romeo.send(&message("juliet@b.example", "first")).await.unwrap();
    assert_eq!(bodies(&mut juliet, 1).await, ["first"]);
    let mut sent = 0;
    for round in 1..=3 {
        for _ in 0..40 {
            romeo.send(&message("juliet@b.example", sent)).await.unwrap();
            juliet.send(&message("romeo@a.example/x", sent)).await.unwrap();
            sent += 1;
        }
        relay.cut(noticed);
        let expected: Vec<String> = (sent - 40..sent).map(|number| number.to_string()).collect();
        assert_eq!(bodies(&mut juliet, 40).await, expected, "round {round}");
        assert_eq!(bodies(&mut romeo, 40).await, expected, "round {round}");
    }
    // Nothing else has come, such as one of them again.
    romeo.send(&message("juliet@b.example", "last")).await.unwrap();
    juliet.send(&message("romeo@a.example/x", "last")).await.unwrap();
    assert_eq!(bodies(&mut juliet, 1).await, ["last"]);
    assert_eq!(bodies(&mut romeo, 1).await, ["last"]);
    assert!(relay.made() >= 4, "{}", relay.made());
    assert!(b.log().contains("another server goes on"), "{}", b.log());
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_by_connections_that_break() {
    cut_off(Noticed::ByBoth, "").await;
}

#[tokio::test]
async fn streams_move_away_from_connections_that_are_dead_on_one_side() {
    cut_off(Noticed::ByCaller, "").await;
}

#[tokio::test]
async fn streams_for_each_direction_are_resumed_as_well() {
    cut_off(Noticed::ByBoth, "bidi = false").await;
}

/// A stream of evil.example with stream management, and its id.
async fn managed(victim: &Victim) -> (Client, String) {
    let mut peer = victim.proved("evil.example").await;
    peer.send(ENABLE).await.unwrap();
    let enabled = peer.find("<enabled").await.unwrap();
    assert_eq!(attribute(&enabled, "max"), Some("120"), "{enabled}");
    let id = attribute(&enabled, "id").unwrap().to_owned();
    (peer, id)
}

fn from_evil(body: &str) -> String {
    format!(
        "<message from='x@evil.example/z' to='juliet@b.example/y' type='chat'>\
         <body>{body}</body></message>"
    )
}

fn resume(id: &str, h: u32) -> String {
    format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>")
}

#[tokio::test]
async fn another_server_goes_on_where_it_was() {
    let mut victim = Victim::new("").await;
    let (mut peer, id) = managed(&victim).await;
    peer.send(&(from_evil("one") + &from_evil("two") + ASK)).await.unwrap();
    let answer = peer.find("<a ").await.unwrap();
    assert_eq!(attribute(&answer, "h"), Some("2"), "{answer}");
    // The connection breaks in the middle of a stanza.
    peer.send("<message from='x@evil.example/z' to='juliet@b.example'><bo").await.unwrap();
    drop(peer);
    let mut peer = victim.proved("evil.example").await;
    peer.send(&resume(&id, 0)).await.unwrap();
    let resumed = peer.next().await.unwrap();
    assert!(resumed.starts_with("<resumed"), "{resumed}");
    assert_eq!(
        (attribute(&resumed, "h"), attribute(&resumed, "previd")),
        (Some("2"), Some(id.as_str()))
    );
    peer.send(&(from_evil("three") + ASK)).await.unwrap();
    assert_eq!(attribute(&peer.find("<a ").await.unwrap(), "h"), Some("3"));
    assert_eq!(bodies(&mut victim.juliet, 3).await, ["one", "two", "three"]);
    // It is not there any more under its own name for a third one, but for its new connection.
    drop(peer);
    let mut peer = victim.proved("evil.example").await;
    peer.send(&resume(&id, 0)).await.unwrap();
    assert_eq!(attribute(&peer.find("<resumed").await.unwrap(), "h"), Some("3"));
}

#[tokio::test]
async fn streams_of_others_are_not_to_be_had() {
    let victim = Victim::new("").await;
    let (peer, id) = managed(&victim).await;
    let mut other = victim.proved("other.example").await;
    for unknown in [id.as_str(), "unknown", ""] {
        other.send(&resume(unknown, 0)).await.unwrap();
        let failed = other.next().await.unwrap();
        assert!(failed.starts_with("<failed") && failed.contains("item-not-found"), "{failed}");
    }
    drop(peer);
    other.send(&resume(&id, 0)).await.unwrap();
    assert!(other.next().await.unwrap().contains("item-not-found"));
    // Who may have it cannot have acknowledged what was not sent.
    let mut owner = victim.proved("evil.example").await;
    owner.send(&resume(&id, 4_294_967_295)).await.unwrap();
    let error = owner.find("<stream:error").await.unwrap();
    assert!(error.contains("handled-count-too-high"), "{error}");
    let mut owner = victim.proved("evil.example").await;
    owner.send(&resume(&id, 0)).await.unwrap();
    assert!(owner.next().await.unwrap().contains("item-not-found"), "it has ended");
}

#[tokio::test]
async fn streams_are_not_kept_where_the_operator_does_not_want_it() {
    let victim = Victim::new("resume_seconds = 0").await;
    let mut peer = victim.proved("evil.example").await;
    peer.send(ENABLE).await.unwrap();
    let enabled = peer.find("<enabled").await.unwrap();
    assert_eq!(attribute(&enabled, "id"), None, "{enabled}");
    peer.send(&(from_evil("one") + ASK)).await.unwrap();
    assert_eq!(attribute(&peer.find("<a ").await.unwrap(), "h"), Some("1"));
}

/// A server of the test's own, to which Romeo's connects.
struct Peer {
    listener: TcpListener,
    authority: Authority,
    romeo: Client,
    _server: Server,
}

type Stream = Client<TlsStream<TcpStream>>;

impl Peer {
    async fn new() -> Peer {
        let (dns, authority) = (Dns::start().await, Authority::new());
        let listener = listener();
        dns.serve("evil.example", "xmpps-server", listener.local_addr().unwrap().port());
        let plan = Plan {
            accounts: &["romeo"],
            certificate: Some((&authority, Flaw::None)),
            trusts: Some(&authority),
            ..Plan::default()
        };
        let server = Server::start(&dns, plan).await;
        let romeo = Client::login(&server, "romeo", "x").await.unwrap();
        Peer { listener, authority, romeo, _server: server }
    }

    /// Takes a connection and what it proves; `features` come afterwards.
    async fn accept(&self, features: &str) -> Stream {
        let (stream, _) = self.listener.accept().await.unwrap();
        let acceptor = acceptor(self.authority.issue("evil.example", Flaw::None));
        let mut stream = Client::new(acceptor.accept(stream).await.unwrap());
        stream.next().await.unwrap();
        let external = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
            <mechanism>EXTERNAL</mechanism></mechanisms>";
        stream.send(&opening(&format!("{external}{features}"))).await.unwrap();
        stream.find("<auth").await.unwrap();
        stream.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await.unwrap();
        stream.restart();
        stream.next().await.unwrap();
        stream.send(&opening(features)).await.unwrap();
        stream
    }

    /// A managed stream on which three messages have come, of which two are acknowledged; it breaks.
    async fn broken(&mut self) {
        let mut stream = self.start().await;
        for body in ["one", "two"] {
            self.romeo.send(&message("x@evil.example", body)).await.unwrap();
            let came = stream.find("<message").await.unwrap();
            assert_eq!(text(&came, "body"), Some(body));
        }
        stream.send("<a xmlns='urn:xmpp:sm:3' h='2'/>").await.unwrap();
    }

    async fn start(&mut self) -> Stream {
        self.romeo.send(&message("x@evil.example", "zero")).await.unwrap();
        let mut stream = self.accept(MANAGED).await;
        let enable = stream.find("<enable").await.unwrap();
        assert_eq!(attribute(&enable, "resume"), Some("true"), "{enable}");
        stream.send("<enabled xmlns='urn:xmpp:sm:3' id='s1' resume='true'/>").await.unwrap();
        stream.find("<message").await.unwrap();
        stream.find("<r").await.unwrap();
        stream.send("<a xmlns='urn:xmpp:sm:3' h='1'/>").await.unwrap();
        stream
    }
}

/// Its connections hold little of what nobody reads.
fn listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(16).unwrap()
}

const MANAGED: &str = "<sm xmlns='urn:xmpp:sm:3'/>";

fn opening(features: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' version='1.0' id='1' \
         xmlns:stream='http://etherx.jabber.org/streams' from='evil.example' to='a.example'>\
         <stream:features>{features}</stream:features>"
    )
}

/// The message in the next stanza and its acknowledgement.
async fn get(stream: &mut Stream, h: u32) -> String {
    let came = stream.find("<message").await.unwrap();
    stream.find("<r").await.unwrap();
    stream.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")).await.unwrap();
    text(&came, "body").unwrap().to_owned()
}

#[tokio::test]
async fn what_a_broken_connection_swallowed_is_sent_again() {
    // What the other server answers, and the number of the stanza on the stream that follows.
    for (answer, h) in [
        ("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='2'/>", 3),
        ("<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found/></failed>", 1),
    ] {
        let mut peer = Peer::new().await;
        peer.broken().await;
        let mut stream = peer.accept(MANAGED).await;
        let resume = stream.find("<resume").await.unwrap();
        assert_eq!(
            (attribute(&resume, "previd"), attribute(&resume, "h")),
            (Some("s1"), Some("0")),
            "{resume}"
        );
        stream.send(answer).await.unwrap();
        if answer.starts_with("<failed") {
            stream.find("<enable").await.unwrap();
            stream.send("<enabled xmlns='urn:xmpp:sm:3'/>").await.unwrap();
        }
        assert_eq!(get(&mut stream, h).await, "two", "{answer}");
        peer.romeo.send(&message("x@evil.example", "three")).await.unwrap();
        assert_eq!(get(&mut stream, h + 1).await, "three", "once");
    }
}

#[tokio::test]
async fn what_may_have_arrived_is_told_and_not_sent_again() {
    let mut peer = Peer::new().await;
    peer.broken().await;
    // The stream is gone, the other server does not say how far it had come.
    let mut stream = peer.accept(MANAGED).await;
    stream.find("<resume").await.unwrap();
    stream.send("<failed xmlns='urn:xmpp:sm:3'/>").await.unwrap();
    stream.find("<enable").await.unwrap();
    stream.send("<enabled xmlns='urn:xmpp:sm:3'/>").await.unwrap();
    let told = peer.romeo.find("<message").await.unwrap();
    assert_eq!((attribute(&told, "type"), attribute(&told, "id")), (Some("error"), Some("two")));
    peer.romeo.send(&message("x@evil.example", "three")).await.unwrap();
    assert_eq!(get(&mut stream, 1).await, "three");
}

#[tokio::test]
async fn acknowledgements_of_nothing_end_the_stream() {
    let mut peer = Peer::new().await;
    let mut stream = peer.start().await;
    stream.send("<a xmlns='urn:xmpp:sm:3' h='1000000'/>").await.unwrap();
    let error = stream.find("<stream:error").await.unwrap();
    assert!(error.contains("handled-count-too-high"), "{error}");
}

#[tokio::test]
async fn a_server_that_takes_stanzas_sends_its_own_on_the_same_stream() {
    let mut peer = Peer::new().await;
    peer.romeo.send("<presence/>").await.unwrap();
    peer.romeo.send(&message("x@evil.example", "out")).await.unwrap();
    let both = format!("{MANAGED}<bidi xmlns='urn:xmpp:features:bidi'/>");
    let mut stream = peer.accept(&both).await;
    stream.find("<enable").await.unwrap();
    stream.send("<enabled xmlns='urn:xmpp:sm:3'/>").await.unwrap();
    assert_eq!(get(&mut stream, 1).await, "out");
    let from = |domain: &str| {
        format!("<message from='x@{domain}' to='romeo@a.example'><body>in</body></message>")
    };
    stream.send(&(from("evil.example") + ASK)).await.unwrap();
    assert_eq!(attribute(&stream.find("<a ").await.unwrap(), "h"), Some("1"));
    assert_eq!(bodies(&mut peer.romeo, 1).await, ["in"]);
    stream.send(&from("good.example")).await.unwrap();
    let error = stream.find("<stream:error").await.unwrap();
    assert!(error.contains("invalid-from"), "{error}");
}

#[tokio::test]
async fn without_stream_management_what_has_not_arrived_is_sent_again_or_told() {
    let mut peer = Peer::new().await;
    peer.romeo.send(&message("x@evil.example", "first")).await.unwrap();
    let mut stream = peer.accept("").await;
    stream.find("<message").await.unwrap();
    // With it goes the acknowledgement of TCP, which it may put off otherwise.
    stream.send(" ").await.unwrap();
    // Each more than is taken of a connection that nobody reads any more.
    let padding = "x".repeat(50_000);
    for number in 0..50 {
        let long = format!(
            "<message to='x@evil.example' type='chat' id='{number}'><body>{padding}</body></message>"
        );
        peer.romeo.send(&long).await.unwrap();
    }
    peer.romeo.send(PING).await.unwrap();
    peer.romeo.find("<iq").await.unwrap();
    // A part of the first has come. With bytes that have not been read, the end resets the connection.
    stream.io.get_ref().0.peek(&mut [0]).await.unwrap();
    drop(stream);
    let mut stream = peer.accept("").await;
    peer.romeo.send(&message("x@evil.example", "last")).await.unwrap();
    let mut sent = Vec::new();
    while sent.last().is_none_or(|id| id != "last") {
        let came = stream.find("<message").await.unwrap();
        sent.push(attribute(&came, "id").unwrap().to_owned());
    }
    sent.pop();
    peer.romeo.send(PING).await.unwrap();
    let mut told = Vec::new();
    loop {
        let came = peer.romeo.find("<").await.unwrap();
        if came.starts_with("<iq") {
            break;
        }
        assert!(came.contains("remote-server-timeout"), "{came}");
        told.push(attribute(&came, "id").unwrap().to_owned());
    }
    assert!(!told.is_empty() && !sent.is_empty(), "{told:?} {sent:?}");
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!([told, sent].concat(), expected);
}
