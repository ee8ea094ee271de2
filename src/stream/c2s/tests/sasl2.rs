use super::*;

#[test]
fn success_is_followed_by_features_without_a_restart() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    let answer = peer.say(&plain_login(&user_agent(AGENT)));
    assert_eq!(answer.len(), 2);
    assert_eq!(identifier(&answer[0]), "user@example.org");
    assert!(answer[0].child("additional-data", ns::SASL2).is_none());
    assert!(answer[1].is("features", ns::STREAM) && answer[1].child("bind", ns::BIND).is_some());
    let limits = answer[1].child("limits", ns::STREAM_LIMITS).unwrap();
    assert_eq!(limits.child("max-bytes", ns::STREAM_LIMITS).unwrap().text(), "262144");
    let agent = peer.world.logins[0].user_agent.clone().unwrap();
    assert_eq!(agent.id.unwrap().to_string(), AGENT);
    assert_eq!(agent.device.as_deref(), Some("Phone"));
    // The old way of binding goes on from here, and larger stanzas are taken.
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    assert_eq!(peer.say_one(bind).attr("type"), Some("result"));
    peer.say(&format!("<message><body>{}</body></message>", "x".repeat(20_000)));
    assert_eq!(peer.world.stanzas.len(), 1);
}

#[test]
fn scram_takes_two_rounds() {
    let mechanism = Mechanism::Scram { hash: ScramHash::Sha256, plus: false };
    let mut peer = Peer::secure(&[mechanism]);
    peer.open();
    let mut client = ScramClient::new(ScramHash::Sha256, "user", PASSWORD);
    let challenge = peer.say_one(&authenticate(mechanism, &client.first(), ""));
    assert!(challenge.is("challenge", ns::SASL2));
    let challenge = encoding::decode(&challenge.text(), 4096).unwrap();
    let last = client.last(std::str::from_utf8(&challenge).unwrap());
    let answer = peer.say(&response(ns::SASL2, &last));
    let data = answer[0].child("additional-data", ns::SASL2).unwrap().text().into_owned();
    assert!(client.accepts(&encoding::decode(&data, 4096).unwrap()));
}

#[test]
fn nothing_inline_is_done_for_a_login_that_failed() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    let inline = format!("{}<bind xmlns='urn:xmpp:bind:0'/>", user_agent(AGENT));
    let wrong = authenticate(Mechanism::Plain, b"\0user\0wrong", &inline);
    assert_eq!(peer.fails(&wrong), "not-authorized");
    peer.world.login = Err(Failure::new(Condition::AccountDisabled, Reason::Account));
    assert_eq!(peer.fails(&plain_login(&inline)), "account-disabled");
    assert!(peer.world.binds.is_empty());
    // The stream is as it was.
    peer.world.login = Ok(Welcome::default());
    assert_eq!(identifier(&peer.say(&plain_login(&inline))[0]), "user@example.org/any");
}

#[test]
fn an_abort_leaves_the_stream_as_it_was() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    let empty = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>";
    assert!(peer.say_one(empty).is("challenge", ns::SASL2));
    let abort = "<abort xmlns='urn:xmpp:sasl:2'><text>changed my mind</text></abort>";
    assert_eq!(peer.fails(abort), "aborted");
    assert_eq!(peer.fails(abort), "malformed-request");
    assert_eq!(identifier(&peer.say(&plain_login(""))[0]), "user@example.org");
}

#[test]
fn a_second_authenticate_ends_the_stream() {
    for first in [plain_login(""), plain_login("<bind xmlns='urn:xmpp:bind:0'/>")] {
        let mut peer = Peer::secure(&[Mechanism::Plain]);
        peer.open();
        peer.say(&first);
        let condition = peer.dies(&plain_login(""));
        assert!(["not-authorized", "unsupported-stanza-type"].contains(&&*condition));
        assert_eq!(peer.world.logins.len(), 1);
    }
}

#[test]
fn nothing_else_may_be_sent_during_an_exchange() {
    let start = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>";
    for other in [
        "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
        "<message/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<x xmlns='urn:example'/>",
    ] {
        let mut peer = Peer::secure(&[Mechanism::Plain]);
        peer.open();
        peer.say_one(start);
        assert_eq!(peer.dies(other), "not-authorized", "{other}");
        assert!(peer.world.registrations.is_empty());
    }
}

/// Sends a frame and returns those that come back.
fn framed(peer: &mut Peer, frame: &str) -> Vec<Element> {
    let mut bytes = frame.as_bytes();
    peer.stream.handle_bytes(&mut bytes);
    while let Some(action) = peer.stream.poll_action() {
        peer.perform(action);
    }
    let frames = peer.stream.output().take_frames();
    frames.iter().map(|frame| String::from_utf8_lossy(frame).parse().unwrap()).collect()
}

#[test]
fn a_framed_stream_works_alike() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.stream = C2s::new(settings(&[Mechanism::Plain]), Framing::Framed, secured());
    let mut frames = |frame: &str| framed(&mut peer, frame);
    let wrong = "<open xmlns='urn:example' to='example.org' version='1.0'/>";
    assert!(frames(wrong)[1].to_string().contains("invalid-namespace"));
    peer.stream = C2s::new(settings(&[Mechanism::Plain]), Framing::Framed, secured());
    peer.world.closed = false;
    let mut frames = |frame: &str| framed(&mut peer, frame);
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>";
    assert_eq!(frames(open).len(), 2);
    let answer = frames(&plain_login("<bind xmlns='urn:xmpp:bind:0'/>"));
    assert_eq!(identifier(&answer[0]), "user@example.org/any");
    assert!(answer[1].is("features", ns::STREAM));
}
