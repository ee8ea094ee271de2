use super::*;
use crate::sasl::{ScramHash, Secret, Upgrade};

#[test]
fn binding() {
    let all = [
        BindRequest { tag: None, inline: Vec::new() },
        BindRequest {
            tag: Some("AwesomeXMPP".to_owned()),
            inline: vec![xml("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")],
        },
    ];
    for bind in all {
        assert_eq!(BindRequest::read(&reread(&bind.write())), Some(bind));
    }
    let empty = xml("<bind xmlns='urn:xmpp:bind:0'><tag> </tag><new/></bind>");
    assert_eq!(BindRequest::read(&empty), Some(BindRequest::default()));
    assert_eq!(BindRequest::read(&xml("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")), None);
    let bound = Bound { inline: vec![xml("<metadata xmlns='urn:xmpp:mam:2'/>")] };
    assert_eq!(Bound::read(&reread(&bound.write())), Some(bound));
}

#[test]
fn fast_requests() {
    let read = |attributes: &str| {
        FastRequest::read(&xml(&format!("<fast xmlns='urn:xmpp:fast:0' {attributes}/>"))).unwrap()
    };
    let request = |count, invalidate| Ok(FastRequest { count, invalidate });
    assert_eq!(read(""), request(None, false));
    assert_eq!(read("count='123' invalidate='true'"), request(Some(123), true));
    assert_eq!(read("count=' 0 ' invalidate='1'"), request(Some(0), true));
    assert_eq!(read("invalidate='false'"), request(None, false));
    for count in ["", "-1", "1.5", "x", "99999999999999999999"] {
        let refused = read(&format!("count='{count}'")).unwrap_err();
        assert_eq!(refused.condition, Condition::MalformedRequest, "{count}");
    }
    let full = FastRequest { count: Some(u64::MAX), invalidate: true };
    assert_eq!(FastRequest::read(&reread(&full.write())), Some(Ok(full)));
    assert_eq!(FastRequest::read(&xml("<fast xmlns='urn:other'/>")), None);
}

#[test]
fn fast_tokens() {
    for mechanism in [None, Some("HT-SHA-256-ENDP".to_owned())] {
        let request = RequestToken { mechanism };
        assert_eq!(RequestToken::read(&reread(&request.write())), Some(request));
    }
    let expiry = "2020-03-12T14:36:15Z".to_owned();
    let token = Token { token: Secret::new("WXZz"), expiry };
    assert_eq!(
        token.write().to_string(),
        "<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15Z' token='WXZz'/>"
    );
    assert_eq!(Token::read(&reread(&token.write())), Some(token.clone()));
    assert!(!format!("{token:?}").contains("WXZz"));
    assert_eq!(Token::read(&xml("<token xmlns='urn:xmpp:fast:0'/>")), None);
    let fast = FastFeature { mechanisms: vec!["HT-SHA-256-NONE".to_owned()], tls_0rtt: true };
    assert_eq!(FastFeature::read(&reread(&fast.write())), Some(fast));
}

#[test]
fn upgrades() {
    let request =
        |task: &str| xml(&format!("<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>{task}</upgrade>"));
    let inline =
        ["UPGR-BLOOP2", "UPGR-SCRAM-SHA-512", "\nUPGR-SCRAM-SHA-256 ", "UPGR-SCRAM-SHA-512", ""];
    let requested = requested_upgrades(&inline.map(request));
    assert_eq!(requested, [ScramHash::Sha512, ScramHash::Sha256]);

    let upgrade = Upgrade::start(ScramHash::Sha256, 4096).unwrap();
    let element = reread(&salt(&upgrade));
    assert!(element.is("salt", "urn:xmpp:scram-upgrade:0"));
    assert_eq!(element.attr("iterations"), Some("4096"));
    assert_eq!(encoding::decode(&element.text(), MAX).unwrap(), upgrade.salt());
    let hash =
        |text: &str| vec![xml(&format!("<hash xmlns='urn:xmpp:scram-upgrade:0'>{text}</hash>"))];
    let example = hash("\n  BzOnw3Pc5H4bOLlPZ/8JAy6wnTpH05aH21KW2+Xfpaw=\n");
    let salted = read_hash(&example, MAX).unwrap();
    assert_eq!(salted.len(), 32);
    assert!(upgrade.finish(&salted).is_ok());
    let refused = read_hash(&hash("!"), MAX).unwrap_err();
    assert_eq!(refused.condition, Condition::IncorrectEncoding);
    assert_eq!(read_hash(&[], MAX).unwrap_err().condition, Condition::MalformedRequest);
}
