use super::*;

fn logged_in() -> Peer {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.say(&plain_login(""));
    peer
}

#[test]
fn nothing_is_sent_before_a_resource_is_bound() {
    let iq = "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>";
    for stanza in [iq, "<message/>", "<presence/>"] {
        assert_eq!(logged_in().dies(stanza), "not-authorized");
        let mut peer = Peer::secure(&[Mechanism::Plain]);
        peer.open();
        assert_eq!(peer.dies(stanza), "not-authorized");
    }
}

#[test]
fn a_session_is_resumed_after_a_login_without_requests() {
    let mut peer = logged_in();
    let management = StreamManagement::restore("prev".into(), 3, 0, []);
    let session = (full("user@example.org/old"), management);
    peer.world.sessions.insert("prev".to_owned(), session);
    for wrong in ["previd='other' h='0'", "h='0'", "previd='prev'", "previd='prev' h='-1'"] {
        let failed = peer.say_one(&format!("<resume xmlns='urn:xmpp:sm:3' {wrong}/>"));
        assert!(failed.is("failed", ns::SM), "{wrong}");
    }
    let resumed = peer.say_one("<resume xmlns='urn:xmpp:sm:3' previd='prev' h='0'/>");
    assert!(resumed.is("resumed", ns::SM) && resumed.attr("h") == Some("3"));
}

#[test]
fn registration_is_possible_before_login_and_over_tls_only() {
    let get = "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>";
    let token = "<iq type='set' id='1'><preauth xmlns='urn:xmpp:pars:0' token='t'/></iq>";
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.say(get);
    peer.say(token);
    assert_eq!(peer.world.registrations.len(), 2);
    assert_eq!(identifier(&peer.say(&plain_login(""))[0]), "user@example.org");
    assert_eq!(peer.dies(get), "not-authorized");
    let mut peer = Peer::new(&[Mechanism::Plain], Channel::default());
    peer.open();
    assert_eq!(peer.dies(get), "policy-violation");
    assert!(peer.world.registrations.is_empty());
}
