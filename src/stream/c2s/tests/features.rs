use super::*;

fn texts(parent: &Element, name: &str) -> Vec<String> {
    let found = parent.children().filter(|child| child.name() == name);
    found.map(|child| child.text().into_owned()).collect()
}

#[test]
fn a_stream_in_clear_offers_tls_and_nothing_else() {
    let mut peer = Peer::new(&[Mechanism::Plain], Channel::default());
    let features = peer.open();
    assert_eq!(names(&features), [("starttls", ns::TLS), ("limits", ns::STREAM_LIMITS)]);
    assert_eq!(texts(&features.children().next_back().unwrap().clone(), "max-bytes"), ["8192"]);
}

#[test]
fn sasl2_announces_what_can_be_asked_for_inline() {
    let scram = Mechanism::Scram { hash: ScramHash::Sha256, plus: false };
    let token = Mechanism::HtSha256(HtBinding::Expr);
    let endpoint = Mechanism::HtSha256(HtBinding::Endp);
    let mut peer = Peer::secure(&[scram, Mechanism::Plain, token, endpoint]);
    let features = peer.open();
    let old = features.child("mechanisms", ns::SASL).unwrap();
    assert_eq!(texts(old, "mechanism"), ["SCRAM-SHA-256", "PLAIN"]);
    let new = features.child("authentication", ns::SASL2).unwrap();
    assert_eq!(texts(new, "mechanism"), ["SCRAM-SHA-256", "PLAIN"]);
    assert_eq!(texts(new, "upgrade"), ["UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"]);
    let inline = new.child("inline", ns::SASL2).unwrap();
    assert_eq!(names(inline), [("bind", ns::BIND2), ("sm", ns::SM), ("fast", ns::FAST)]);
    // The channel has no data for the end point.
    assert_eq!(texts(inline.child("fast", ns::FAST).unwrap(), "mechanism"), ["HT-SHA-256-EXPR"]);
    let bind = inline.child("bind", ns::BIND2).unwrap().child("inline", ns::BIND2).unwrap();
    let features: Vec<_> = bind.children().filter_map(|feature| feature.attr("var")).collect();
    assert_eq!(features, [ns::SM, ns::CSI, ns::CARBONS]);
}

#[test]
fn external_is_for_clients_that_showed_a_certificate() {
    let mechanisms = [Mechanism::External, Mechanism::Plain];
    for (certificate, expected) in [(true, vec!["EXTERNAL", "PLAIN"]), (false, vec!["PLAIN"])] {
        let mut peer = Peer::new(&mechanisms, Channel { certificate, ..secured() });
        let features = peer.open();
        for feature in [("mechanisms", ns::SASL), ("authentication", ns::SASL2)] {
            let feature = features.child(feature.0, feature.1).unwrap();
            assert_eq!(texts(feature, "mechanism"), expected);
        }
    }
    let mut peer = Peer::new(&mechanisms, Channel { certificate: false, ..secured() });
    peer.open();
    let external = authenticate(Mechanism::External, b"", "");
    assert_eq!(peer.fails(&external), "invalid-mechanism");
}

#[test]
fn a_client_of_another_domain_is_sent_away() {
    let header = "<stream:stream xmlns='jabber:client' version='1.0' to='example.org' \
                  from='user@other.example' xmlns:stream='http://etherx.jabber.org/streams'>";
    assert_eq!(Peer::secure(&[Mechanism::Plain]).dies(header), "invalid-from");
}

#[test]
fn starttls_begins_the_stream_anew() {
    let mut peer = Peer::new(&[Mechanism::Plain], Channel::default());
    peer.open();
    // What comes with it was not protected and is not read as if it were.
    peer.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let features = peer.open();
    assert!(features.child("authentication", ns::SASL2).is_some());
}
