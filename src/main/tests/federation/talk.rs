//! What two servers that trust each other do.

use sha1::{Digest as _, Sha1};

use crate::attacks::shown_by;
use crate::certificates::{Authority, Flaw};
use crate::client::{Client, attribute, text};
use crate::dns::Dns;
use crate::server::{Plan, Server};

/// Romeo at a.example and Juliet at b.example, each with a client.
struct Verona {
    romeo: Client,
    juliet: Client,
    servers: [Server; 2],
}

impl Verona {
    async fn dialback() -> Verona {
        Verona::with(None, "").await
    }

    /// Both with certificates of one authority.
    async fn certified(authority: &Authority, s2s: &str) -> Verona {
        Verona::with(Some(authority), s2s).await
    }

    async fn with(authority: Option<&Authority>, s2s: &str) -> Verona {
        let dns = Dns::start().await;
        let certificate = authority.map(|authority| (authority, Flaw::None));
        let plan = |domain, accounts| Plan {
            domain,
            accounts,
            s2s,
            certificate,
            trusts: authority,
            ..Plan::default()
        };
        let a = Server::start(&dns, plan("a.example", &["romeo"])).await;
        let b = Server::start(&dns, plan("b.example", &["juliet"])).await;
        let mut romeo = Client::login(&a, "romeo", "x").await.unwrap();
        let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
        for client in [&mut romeo, &mut juliet] {
            client.send("<presence/>").await.unwrap();
            client.find("<presence").await.unwrap();
        }
        Verona { romeo, juliet, servers: [a, b] }
    }

    /// A message in each direction.
    async fn greet(&mut self) {
        for address in ["juliet@b.example", "romeo@a.example"] {
            let (from, to) = match address {
                "juliet@b.example" => (&mut self.romeo, &mut self.juliet),
                _ => (&mut self.juliet, &mut self.romeo),
            };
            let message = format!("<message to='{address}' type='chat'><body>hi</body></message>");
            from.send(&message).await.unwrap();
            let came = to.find("<message").await.unwrap();
            assert_eq!(text(&came, "body"), Some("hi"), "{came}");
        }
    }

    fn logged(&self, what: &str) -> [usize; 2] {
        [0, 1].map(|one| self.servers[one].log().matches(what).count())
    }
}

#[tokio::test]
async fn messages_by_dialback() {
    let mut verona = Verona::dialback().await;
    verona.greet().await;
    verona.greet().await;
    assert_eq!(verona.logged("\"by\":\"dialback\""), [1, 1], "one stream both ways");
    assert_eq!(verona.logged("\"by\":\"EXTERNAL\""), [0, 0]);
}

#[tokio::test]
async fn messages_by_certificate() {
    let authority = Authority::new();
    let mut verona = Verona::certified(&authority, "require_certificate = true").await;
    verona.greet().await;
    assert_eq!(verona.logged("\"by\":\"EXTERNAL\""), [1, 1]);
    assert_eq!(verona.logged("\"by\":\"dialback\""), [0, 0]);
}

#[tokio::test]
async fn a_new_certificate_ends_no_stream() {
    let authority = Authority::new();
    let mut verona = Verona::certified(&authority, "").await;
    verona.greet().await;
    for server in &verona.servers {
        let before = shown_by(server).await;
        server.certify(&authority);
        while shown_by(server).await == before {
            tokio::task::yield_now().await;
        }
    }
    verona.greet().await;
    assert_eq!(verona.logged("another server listens"), [1, 0], "the same stream");
}

#[tokio::test]
async fn a_stream_for_each_direction() {
    for authority in [None, Some(&Authority::new())] {
        let mut verona = Verona::with(authority, "bidi = false").await;
        verona.greet().await;
        verona.greet().await;
        assert_eq!(verona.logged("another server listens"), [1, 1]);
        assert_eq!(verona.logged("another server may send"), [1, 1]);
    }
}

#[tokio::test]
async fn one_stream_for_both_directions() {
    for authority in [None, Some(&Authority::new())] {
        let mut verona = Verona::with(authority, "").await;
        verona.greet().await;
        verona.greet().await;
        assert_eq!(verona.logged("another server listens"), [1, 0]);
        assert_eq!(verona.logged("another server may send"), [0, 1]);
        assert_eq!(verona.logged("\"bidi\":true"), [1, 1]);
    }
}

#[tokio::test]
async fn contacts_see_each_other() {
    let Verona { mut romeo, mut juliet, servers: [_a, b] } = Verona::dialback().await;
    romeo.send("<presence to='juliet@b.example' type='subscribe'/>").await.unwrap();
    let asked = juliet.find("<presence").await.unwrap();
    assert_eq!(attribute(&asked, "type"), Some("subscribe"), "{asked}");
    assert_eq!(attribute(&asked, "from"), Some("romeo@a.example"));
    juliet.send("<presence to='romeo@a.example' type='subscribed'/>").await.unwrap();
    // The answer, and Juliet's presence.
    let answer = romeo.find("<presence from='juliet@b.example' ").await.unwrap();
    assert_eq!(attribute(&answer, "type"), Some("subscribed"), "{answer}");
    let there = romeo.find("<presence from='juliet@b.example/y'").await.unwrap();
    assert_eq!(attribute(&there, "type"), None, "{there}");
    juliet.send("<presence><show>away</show></presence>").await.unwrap();
    let away = romeo.find("<presence from='juliet@b.example/y'").await.unwrap();
    assert_eq!(text(&away, "show"), Some("away"));
    // A second device of Romeo's is told by a probe.
    let mut second = Client::login(&_a, "romeo", "z").await.unwrap();
    second.send("<presence/>").await.unwrap();
    let away = second.find("<presence from='juliet@b.example/y'").await.unwrap();
    assert_eq!(text(&away, "show"), Some("away"));
    drop(juliet);
    let gone = romeo.find("<presence from='juliet@b.example/y'").await.unwrap();
    assert_eq!(attribute(&gone, "type"), Some("unavailable"), "{gone}");
    drop(b);
}

#[tokio::test]
async fn a_room_with_people_from_elsewhere() {
    let Verona { mut romeo, mut juliet, servers: [_a, mut b] } = Verona::dialback().await;
    let room = "ball@conference.a.example";
    let enter = |nick: &str| {
        format!(
            "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
    };
    romeo.send(&enter("Romeo")).await.unwrap();
    romeo.find(&format!("<message from='{room}'")).await.unwrap();
    let open = format!(
        "<iq type='set' id='open' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'/></query></iq>"
    );
    romeo.send(&open).await.unwrap();
    romeo.find("<iq").await.unwrap();
    juliet.send(&enter("Juliet")).await.unwrap();
    let own = juliet.find(&format!("<presence from='{room}/Juliet'")).await.unwrap();
    assert!(own.contains("code='110'"), "{own}");
    romeo.find(&format!("<presence from='{room}/Juliet'")).await.unwrap();
    for nick in ["Romeo", "Juliet"] {
        let (from, to) = match nick {
            "Romeo" => (&mut romeo, &mut juliet),
            _ => (&mut juliet, &mut romeo),
        };
        let said =
            format!("<message to='{room}' type='groupchat'><body>dear {nick}</body></message>");
        from.send(&said).await.unwrap();
        for client in [from, to] {
            loop {
                let heard = client.find(&format!("<message from='{room}/{nick}'")).await.unwrap();
                if text(&heard, "body") == Some(&format!("dear {nick}")) {
                    break;
                }
            }
        }
    }
    // Her server is gone: the next message that cannot be brought to her puts her out (section 11.1).
    b.kill().await;
    let said = format!("<message to='{room}' type='groupchat'><body>anybody?</body></message>");
    romeo.send(&said).await.unwrap();
    let out = romeo.find(&format!("<presence from='{room}/Juliet'")).await.unwrap();
    assert_eq!(attribute(&out, "type"), Some("unavailable"), "{out}");
    assert!(out.contains("code='333'"), "{out}");
}

#[tokio::test]
async fn questions_reach_servers_accounts_and_devices() {
    let Verona { mut romeo, mut juliet, servers: [_a, _b] } = Verona::dialback().await;
    let card = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard></iq>";
    juliet.send(card).await.unwrap();
    juliet.find("<iq").await.unwrap();
    for (number, (to, payload, expected)) in [
        ("b.example", "<ping xmlns='urn:xmpp:ping'/>", "type='result'"),
        ("b.example", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "type='im'"),
        (
            "conference.b.example",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "category='conference'",
        ),
        ("juliet@b.example", "<vCard xmlns='vcard-temp'/>", "<FN>Juliet</FN>"),
        ("juliet@b.example/gone", "<ping xmlns='urn:xmpp:ping'/>", "service-unavailable"),
        ("nobody@b.example", "<vCard xmlns='vcard-temp'/>", "service-unavailable"),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = format!("<iq type='get' id='q{number}' to='{to}'>{payload}</iq>");
        romeo.send(&ask).await.unwrap();
        let answer = romeo.find(&format!("<iq from='{to}'")).await.unwrap();
        assert!(answer.contains(&format!("id='q{number}'")), "{answer}");
        assert!(answer.contains(expected), "{to}: {answer}");
    }
    // Jingle goes between devices.
    let call = "<iq type='set' id='call' to='juliet@b.example/y'>\
        <jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='1'/></iq>";
    romeo.send(call).await.unwrap();
    let rings = juliet.find("<iq").await.unwrap();
    assert!(rings.contains("session-initiate"), "{rings}");
    juliet.send("<iq type='result' id='call' to='romeo@a.example/x'/>").await.unwrap();
    let answer = romeo.find("<iq from='juliet@b.example/y'").await.unwrap();
    assert_eq!(attribute(&answer, "type"), Some("result"));
}

#[tokio::test]
async fn direct_tls_where_dns_says_so() {
    let dns = Dns::start().await;
    let plan = |domain, accounts| Plan { domain, accounts, ..Plan::default() };
    let a = Server::start(&dns, plan("a.example", &["romeo"])).await;
    let b = Server::launch(&dns, plan("b.example", &["juliet"])).await;
    dns.serve("b.example", "xmpps-server", b.address("s2s_tls").port());
    let mut romeo = Client::login(&a, "romeo", "x").await.unwrap();
    let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
    juliet.send("<presence/>").await.unwrap();
    juliet.find("<presence").await.unwrap();
    let message = "<message to='juliet@b.example' type='chat'><body>hi</body></message>";
    romeo.send(message).await.unwrap();
    juliet.find("<message from='romeo@a.example/x'").await.unwrap();
}

#[tokio::test]
async fn what_an_account_publishes_reaches_contacts_elsewhere() {
    let Verona { mut romeo, mut juliet, servers: _servers } = Verona::dialback().await;
    juliet.send("<presence to='romeo@a.example' type='subscribe'/>").await.unwrap();
    romeo.find("<presence from='juliet@b.example'").await.unwrap();
    romeo.send("<presence to='juliet@b.example' type='subscribed'/>").await.unwrap();
    juliet.find("<presence from='romeo@a.example/x'").await.unwrap();
    romeo.send("<presence to='juliet@b.example' type='subscribe'/>").await.unwrap();
    juliet.find("<presence from='romeo@a.example' ").await.unwrap();
    juliet.send("<presence to='romeo@a.example' type='subscribed'/>").await.unwrap();
    romeo.find("<presence from='juliet@b.example/y'").await.unwrap();
    let publish = |id: &str| {
        format!(
            "<iq type='set' id='{id}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <publish node='urn:example:mood'><item id='{id}'><mood xmlns='urn:example:mood'/>\
             </item></publish></pubsub></iq>"
        )
    };
    romeo.send(&publish("first")).await.unwrap();
    romeo.find("<iq").await.unwrap();
    // Her client tells what it can do, by a hash (XEP-0115).
    let feature = "urn:example:mood+notify";
    let ver = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        Sha1::digest(format!("client/pc//x<{feature}<")),
    );
    let caps = format!(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='{ver}'/>\
         </presence>"
    );
    juliet.send(&caps).await.unwrap();
    let mut asked = 0;
    let heard = loop {
        let next = juliet.next().await.unwrap();
        if next.contains("disco#info") && next.starts_with("<iq") {
            let (from, id) = (attribute(&next, "from").unwrap(), attribute(&next, "id").unwrap());
            let answer = format!(
                "<iq type='result' id='{id}' to='{from}'>\
                 <query xmlns='http://jabber.org/protocol/disco#info' node='n#{ver}'>\
                 <identity category='client' type='pc' name='x'/><feature var='{feature}'/>\
                 </query></iq>"
            );
            juliet.send(&answer).await.unwrap();
            asked += 1;
        } else if next.starts_with("<message") {
            break next;
        }
    };
    assert!(heard.contains("id='first'"), "the last item: {heard}");
    assert_eq!(asked, 2, "by her own server and by his");
    romeo.send(&publish("second")).await.unwrap();
    let heard = juliet.find("<message").await.unwrap();
    assert!(heard.contains("id='second'"), "{heard}");
    assert_eq!(attribute(&heard, "from"), Some("romeo@a.example"), "{heard}");
    assert_eq!(attribute(&heard, "to"), Some("juliet@b.example/y"), "{heard}");
}
