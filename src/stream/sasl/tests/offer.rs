use super::*;

#[test]
fn names_come_back() {
    for mechanism in Mechanism::ALL {
        assert_eq!(mechanism.name().parse::<Mechanism>(), Ok(mechanism));
    }
    for name in ["", "plain", "SCRAM-SHA-1-plus", "DIGEST-MD5", "PLAIN "] {
        let refused = name.parse::<Mechanism>().unwrap_err();
        assert_eq!(refused.condition, Condition::InvalidMechanism, "{name}");
    }
}

#[test]
fn strongest_first() {
    let names = |mechanisms: &[Mechanism]| -> Vec<_> {
        mechanisms.iter().map(|mechanism| mechanism.name()).collect()
    };
    let mut enabled = Mechanism::ALL;
    enabled.reverse();
    let offer = Offer::new(&enabled, &context(&[]).bindings);
    let expected = [
        "EXTERNAL",
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "OAUTHBEARER",
        "PLAIN",
    ];
    assert_eq!(names(&offer.mechanisms), expected);
    assert_eq!(names(&offer.fast), ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]);
    assert_eq!(offer.bindings, BindingType::ALL);
}

#[test]
fn only_what_the_channel_can_bind() {
    let offer = Offer::new(&Mechanism::ALL, &ChannelBindings::default());
    let bound = |mechanism: &Mechanism| mechanism.binds_channel();
    assert!(!offer.mechanisms.iter().chain(&offer.fast).any(bound));
    assert_eq!(offer.bindings, []);
    let end_point = ChannelBindings { tls_exporter: None, ..context(&[]).bindings };
    let offer = Offer::new(&Mechanism::ALL, &end_point);
    assert_eq!(offer.bindings, [BindingType::TlsServerEndPoint]);
    assert!(offer.contains(scram(ScramHash::Sha1, true)));
    assert!(!offer.contains(Mechanism::HtSha256(HtBinding::Expr)));
    assert!(offer.contains(Mechanism::HtSha256(HtBinding::Endp)));
    let unbound = Offer::new(&[Mechanism::Plain], &context(&[]).bindings);
    assert_eq!(unbound.bindings, [], "types without a mechanism would look like an attack");
}

#[test]
fn selection() {
    let offer = context(&[Mechanism::Plain, Mechanism::HtSha256(HtBinding::None)]).offer;
    assert_eq!(offer.select("PLAIN"), Ok(Mechanism::Plain));
    assert!(offer.select("HT-SHA-256-NONE").is_ok());
    let refused = Failure::new(Condition::InvalidMechanism, Reason::MechanismNotOffered);
    assert_eq!(offer.select("SCRAM-SHA-1"), Err(refused));
}
