use super::*;
use crate::sasl::Reason;

fn read(text: &str) -> Sasl1 {
    Sasl1::read(xml(text), MAX).unwrap().unwrap()
}

#[test]
fn rfc_6120_examples() {
    let auth = read(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>",
    );
    let initial = Some(b"\0juliet\0r0m30myr0m30".to_vec());
    assert_eq!(auth, Sasl1::Auth { mechanism: "PLAIN".to_owned(), initial });
    let failure = read(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>
           <text xml:lang='en'>Wrong</text></failure>",
    );
    let text = Some("Wrong".to_owned());
    let condition = Condition::NotAuthorized;
    assert_eq!(failure, Sasl1::Failure(AuthFailure { condition, text, extra: Vec::new() }));
}

/// What clients do that no schema says.
#[test]
fn lenient_reading() {
    let auth = |attributes: &str, text: &str| {
        let name = "auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
        match read(&format!("<{name} {attributes}>{text}</auth>")) {
            Sasl1::Auth { mechanism, initial } => (mechanism, initial),
            other => panic!("{other:?}"),
        }
    };
    let google = "mechanism='X-UNKNOWN' xmlns:ga='http://www.google.com/talk/protocol/auth' \
                  ga:client-uses-full-bind-result='true'";
    assert_eq!(auth(google, ""), ("X-UNKNOWN".to_owned(), None));
    let external = "mechanism='EXTERNAL'";
    assert_eq!(auth(external, "="), ("EXTERNAL".to_owned(), Some(Vec::new())));
    assert_eq!(auth(external, "\n  YQ==\n"), ("EXTERNAL".to_owned(), Some(b"a".to_vec())));
    let response = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>";
    assert_eq!(read(response), Sasl1::Response(Vec::new()));
}

#[test]
fn refusals() {
    let sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    for (text, condition) in [
        (format!("<auth {sasl}/>"), Condition::InvalidMechanism),
        (format!("<auth {sasl} mechanism='PLAIN'>!</auth>"), Condition::IncorrectEncoding),
        (format!("<response {sasl}>A</response>"), Condition::IncorrectEncoding),
        (format!("<response {sasl}>{}</response>", "A".repeat(8000)), Condition::MalformedRequest),
        (format!("<unknown {sasl}/>"), Condition::MalformedRequest),
    ] {
        assert_eq!(refusal(Sasl1::read(xml(&text), MAX)), condition, "{text}");
    }
    assert_eq!(Sasl1::read(xml("<auth xmlns='urn:xmpp:sasl:2'/>"), MAX), None);
}

#[test]
fn everything_comes_back() {
    let auth = |initial| Sasl1::Auth { mechanism: "PLAIN".to_owned(), initial };
    let mut all = vec![
        auth(None),
        auth(Some(Vec::new())),
        auth(Some(b"data".to_vec())),
        Sasl1::Challenge(Vec::new()),
        Sasl1::Challenge(b"data".to_vec()),
        Sasl1::Response(Vec::new()),
        Sasl1::Response(b"data".to_vec()),
        Sasl1::Abort,
        Sasl1::Success(None),
        Sasl1::Success(Some(Vec::new())),
        Sasl1::Success(Some(b"v=x".to_vec())),
    ];
    for condition in Condition::ALL {
        let extra = vec![xml("<other xmlns='urn:other'/>")];
        let text = Some("No <way>".to_owned());
        all.push(Sasl1::Failure(AuthFailure { condition, text, extra }));
    }
    for nonza in all {
        let element = reread(&nonza.write());
        assert_eq!(Sasl1::read(element, MAX), Some(Ok(nonza)));
    }
}

#[test]
fn failures_say_why() {
    let failure = Failure::new(Condition::NotAuthorized, Reason::BindingDowngrade);
    let element = Sasl1::Failure(failure.into()).write();
    assert_eq!(
        element.to_string(),
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
         <text xml:lang='en'>peer saw no channel binding, but it was offered</text></failure>"
    );
}

#[test]
fn unknown_conditions() {
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><new-one/></failure>";
    let expected =
        AuthFailure { condition: Condition::NotAuthorized, text: None, extra: Vec::new() };
    assert_eq!(read(failure), Sasl1::Failure(expected));
}
