use super::*;

fn auth(mechanism: &str, data: &[u8]) -> String {
    let data = encoding::encode(data);
    format!("<auth xmlns='{}' mechanism='{mechanism}'>{data}</auth>", ns::SASL)
}

#[test]
fn a_login_restarts_the_stream_and_binds() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    let success = peer.say_one(&auth("PLAIN", &plain()));
    assert!(success.is("success", ns::SASL) && success.text().is_empty());
    let features = peer.open();
    assert!(features.child("bind", ns::BIND).is_some());
    assert!(features.child("authentication", ns::SASL2).is_none());
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                <resource>desk</resource></bind></iq>";
    let result = peer.say_one(bind);
    let bound = result.child("bind", ns::BIND).unwrap().child("jid", ns::BIND).unwrap();
    assert_eq!(bound.text(), "user@example.org/desk");
    assert!(!peer.world.binds[0].bind2);
}

#[test]
fn scram_with_channel_binding_and_additional_data() {
    let mechanism = Mechanism::Scram { hash: ScramHash::Sha256, plus: true };
    let mut peer = Peer::secure(&[mechanism]);
    peer.open();
    let mut client =
        ScramClient::new(ScramHash::Sha256, "user", PASSWORD).bound("tls-exporter", &EXPORTER);
    // Without an initial response, the first challenge is empty (RFC 6120, section 6.4.3).
    let auth = format!("<auth xmlns='{}' mechanism='{mechanism}'/>", ns::SASL);
    let challenge = peer.say_one(&auth);
    assert!(challenge.is("challenge", ns::SASL) && challenge.text().is_empty());
    let challenge = peer.say_one(&response(ns::SASL, &client.first()));
    let challenge = encoding::decode(&challenge.text(), 4096).unwrap();
    let last = client.last(std::str::from_utf8(&challenge).unwrap());
    let success = peer.say_one(&response(ns::SASL, &last));
    assert!(client.accepts(&encoding::decode(&success.text(), 4096).unwrap()));
    assert_eq!(peer.world.logins[0].mechanism, mechanism);
}

#[test]
fn tokens_are_for_sasl2() {
    let mut peer = Peer::secure(&[Mechanism::Plain, Mechanism::HtSha256(HtBinding::None)]);
    peer.open();
    let token = auth("HT-SHA-256-NONE", &hashed_token(TOKEN, b""));
    assert_eq!(peer.fails(&token), "invalid-mechanism");
    assert!(peer.world.logins.is_empty());
}

#[test]
fn nobody_logs_in_in_clear() {
    let mut peer = Peer::new(&[Mechanism::Plain], Channel::default());
    peer.open();
    assert_eq!(peer.fails(&auth("PLAIN", &plain())), "encryption-required");
    assert_eq!(peer.fails(&plain_login("")), "encryption-required");
    assert!(peer.world.logins.is_empty());
}

#[test]
fn an_abort_ends_the_exchange_and_not_the_stream() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.say_one(&format!("<auth xmlns='{}' mechanism='PLAIN'/>", ns::SASL));
    assert_eq!(peer.fails(&format!("<abort xmlns='{}'/>", ns::SASL)), "aborted");
    assert_eq!(peer.say_one(&auth("PLAIN", &plain())).name(), "success");
}

#[test]
fn a_new_attempt_discards_the_one_under_way() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.say_one(&format!("<auth xmlns='{}' mechanism='PLAIN'/>", ns::SASL));
    assert_eq!(peer.say_one(&auth("PLAIN", &plain())).name(), "success");
    assert!(peer.world.failures.is_empty());
}

#[test]
fn the_last_failure_closes_the_stream_and_is_counted() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    let wrong = auth("PLAIN", b"\0user\0wrong");
    for _ in 0..4 {
        assert_eq!(peer.fails(&wrong), "not-authorized");
    }
    assert_eq!(peer.dies(&wrong), "policy-violation");
    assert_eq!(peer.world.failures, vec![(refused(), Some(Mechanism::Plain)); 5]);
}

#[test]
fn a_second_login_is_no_more_possible() {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.say_one(&auth("PLAIN", &plain()));
    peer.open();
    assert_eq!(peer.dies(&auth("PLAIN", &plain())), "not-authorized");
}
