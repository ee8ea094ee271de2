use super::*;
use crate::sasl::Reason;

fn read(text: &str) -> Sasl2 {
    Sasl2::read(xml(text), MAX).unwrap().unwrap()
}

fn authenticate(text: &str) -> Authenticate {
    match read(text) {
        Sasl2::Authenticate(authenticate) => *authenticate,
        other => panic!("{other:?}"),
    }
}

/// The examples of XEP-0388, XEP-0386, XEP-0480 and XEP-0484 in one.
#[test]
fn authenticate_with_everything() {
    let read = authenticate(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1-PLUS'>
           <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>
           <initial-response>cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPTEyQzRDRDVDLUUzOEUtNEE5OC04RjZELTE1QzM4RjUxQ0NDNg==</initial-response>
           <user-agent id='D4565FA7-4d72-4749-b3d3-740edbf87770'>
             <software>AwesomeXMPP</software>
             <device>Kiva's Phone</device>
           </user-agent>
           <bind xmlns='urn:xmpp:bind:0'>
             <tag>AwesomeXMPP</tag>
             <enable xmlns='urn:xmpp:carbons:2'/>
             <enable xmlns='urn:xmpp:sm:3'/>
             <inactive xmlns='urn:xmpp:csi:0'/>
           </bind>
           <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>
           <unknown xmlns='urn:new'/>
         </authenticate>",
    );
    assert_eq!(read.mechanism, "SCRAM-SHA-1-PLUS");
    let initial = b"p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6".to_vec();
    assert_eq!(read.initial_response, Some(initial));
    let agent = read.user_agent.as_ref().unwrap();
    assert_eq!(agent.id.unwrap().to_string(), "d4565fa7-4d72-4749-b3d3-740edbf87770");
    assert_eq!(agent.software.as_deref(), Some("AwesomeXMPP"));
    assert_eq!(agent.device.as_deref(), Some("Kiva's Phone"));
    let names: Vec<_> = read.inline.iter().map(Element::name).collect();
    assert_eq!(names, ["upgrade", "bind", "request-token", "unknown"]);
    let bind = BindRequest::read(read.inline_child("bind", ns::BIND2).unwrap()).unwrap();
    assert_eq!((bind.tag.as_deref(), bind.inline.len()), (Some("AwesomeXMPP"), 3));
    assert_eq!(requested_upgrades(&read.inline), [crate::sasl::ScramHash::Sha256]);
    assert!(read.inline_child("bind", ns::SASL2).is_none());
}

#[test]
fn optional_parts() {
    let bare = authenticate("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'/>");
    assert_eq!(bare, Authenticate { mechanism: "X".to_owned(), ..Authenticate::default() });
    let read = authenticate(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'>
           <initial-response/><user-agent><software>  </software></user-agent>
         </authenticate>",
    );
    assert_eq!(read.initial_response, Some(Vec::new()));
    assert_eq!(read.user_agent, Some(UserAgent::default()));
}

#[test]
fn user_agent_ids() {
    let id = |text: &str| text.parse::<UserAgentId>();
    assert_eq!(
        id("d4565fa7-4d72-4749-b3d3-740edbf87770"),
        id("D4565FA7-4D72-4749-B3D3-740EDBF87770")
    );
    assert!(id(" 00000000-0000-4000-8000-000000000000\n").is_ok());
    assert!(id("ffffffff-ffff-4fff-bfff-ffffffffffff").is_ok());
    for text in [
        "",
        "phone",
        "d4565fa74d724749b3d3740edbf87770",
        "{d4565fa7-4d72-4749-b3d3-740edbf87770}",
        "d4565fa7-4d72-1749-b3d3-740edbf87770",
        "d4565fa7-4d72-4749-73d3-740edbf87770",
        "d4565fa7-4d72-4749-c3d3-740edbf87770",
        "d4565fa7-4d72-4749-b3d3-740edbf8777",
        "d4565fa7-4d72-4749-b3d3-740edbf87770-",
        "d4565fa-74d72-4749-b3d3-740edbf87770",
        "g4565fa7-4d72-4749-b3d3-740edbf87770",
        "+4565fa7-4d72-4749-b3d3-740edbf87770",
        "\u{e9}565fa7-4d72-4749-b3d3-740edbf87770",
    ] {
        assert!(id(text).is_err(), "{text}");
        let text = format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'><user-agent id='{text}'/></authenticate>"
        );
        assert_eq!(refusal(Sasl2::read(xml(&text), MAX)), Condition::MalformedRequest);
    }
}

#[test]
fn refusals() {
    let sasl = "xmlns='urn:xmpp:sasl:2'";
    let initial = format!(
        "<authenticate {sasl} mechanism='X'><initial-response>A</initial-response></authenticate>"
    );
    for (text, condition) in [
        (format!("<authenticate {sasl}/>"), Condition::InvalidMechanism),
        (initial, Condition::IncorrectEncoding),
        (format!("<response {sasl}>A=</response>"), Condition::IncorrectEncoding),
        (format!("<next {sasl}/>"), Condition::MalformedRequest),
        (format!("<success {sasl}/>"), Condition::MalformedRequest),
        (format!("<unknown {sasl}/>"), Condition::MalformedRequest),
    ] {
        assert_eq!(refusal(Sasl2::read(xml(&text), MAX)), condition, "{text}");
    }
    assert_eq!(Sasl2::read(xml("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), MAX), None);
}

#[test]
fn examples_of_the_server() {
    let success = Authenticated {
        additional_data: Some(b"v=msVHs/BzIOHDqXeVH7EmmDu9id8=".to_vec()),
        authorization_identifier: "user@example.org".parse().unwrap(),
        inline: vec![Bound::default().write()],
    };
    assert_eq!(
        Sasl2::Success(Box::new(success)).write().to_string(),
        "<success xmlns='urn:xmpp:sasl:2'>\
         <additional-data>dj1tc1ZIcy9CeklPSERxWGVWSDdFbW1EdTlpZDg9</additional-data>\
         <authorization-identifier>user@example.org</authorization-identifier>\
         <bound xmlns='urn:xmpp:bind:0'/></success>"
    );
    let failure = Failure::new(Condition::CredentialsExpired, Reason::Credentials);
    assert_eq!(
        Sasl2::Failure(failure.into()).write().to_string(),
        "<failure xmlns='urn:xmpp:sasl:2'>\
         <credentials-expired xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
         <text xml:lang='en'>credentials were not accepted</text></failure>"
    );
    let failure = read(
        "<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
           <optional-application-specific xmlns='urn:something:else'/>
           <text>This is a terrible example.</text></failure>",
    );
    let expected = AuthFailure {
        condition: Condition::Aborted,
        text: Some("This is a terrible example.".to_owned()),
        extra: vec![xml("<optional-application-specific xmlns='urn:something:else'/>")],
    };
    assert_eq!(failure, Sasl2::Failure(expected));
}

#[test]
fn everything_comes_back() {
    let payload = || vec![xml("<totp xmlns='urn:totp:example'>123</totp>")];
    let jid = |text: &str| text.parse().unwrap();
    let agent = UserAgent {
        id: Some("d4565fa7-4d72-4749-b3d3-740edbf87770".parse().unwrap()),
        software: Some("A & B".to_owned()),
        device: None,
    };
    let all = vec![
        Sasl2::Authenticate(Box::new(Authenticate {
            mechanism: "PLAIN".to_owned(),
            initial_response: Some(b"data".to_vec()),
            user_agent: Some(agent),
            inline: payload(),
        })),
        Sasl2::Authenticate(Box::new(Authenticate {
            initial_response: Some(Vec::new()),
            ..Authenticate::default()
        })),
        Sasl2::Challenge(Vec::new()),
        Sasl2::Challenge(b"data".to_vec()),
        Sasl2::Response(Vec::new()),
        Sasl2::Response(b"data".to_vec()),
        Sasl2::Abort(None),
        Sasl2::Abort(Some("changed my mind".to_owned())),
        Sasl2::Success(Box::new(Authenticated {
            additional_data: None,
            authorization_identifier: jid("user@example.org/A b"),
            inline: payload(),
        })),
        Sasl2::Continue(Continue {
            additional_data: Some(b"v=x".to_vec()),
            tasks: vec!["UPGR-SCRAM-SHA-256".to_owned(), "TOTP".to_owned()],
            text: Some("two steps".to_owned()),
        }),
        Sasl2::Continue(Continue::default()),
        Sasl2::Next(Next { task: "TOTP".to_owned(), payload: payload() }),
        Sasl2::TaskData(payload()),
        Sasl2::Failure(Failure::ABORTED.into()),
    ];
    for nonza in all {
        let element = reread(&nonza.write());
        assert_eq!(Sasl2::read(element, MAX), Some(Ok(nonza)));
    }
}
