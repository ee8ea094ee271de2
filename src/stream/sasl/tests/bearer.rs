use super::*;

fn start(message: &str) -> (Exchange, Step) {
    begin(context(&[Mechanism::OauthBearer]), message.as_bytes())
}

/// The message of RFC 7628, section 4.1, for our domain.
const EXAMPLE: &str = "n,a=user@example.org,\x01host=server.example.org\x01port=143\x01\
                       auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";

#[test]
fn rfc_7628_example() {
    let (mut exchange, step) = start(EXAMPLE);
    let user = jid("user@example.org");
    let token = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    assert_eq!(step, Step::Lookup(Lookup::Bearer { authzid: Some(user.clone()), token }));
    let done = success(exchange.handle_answer(Answer::Verdict(Ok(user.clone()))));
    assert_eq!((done.identity, done.data), (user, None));
}

#[test]
fn token_decides_who_it_is() {
    let (mut exchange, step) = start("n,,\x01auth=bearer  abc\x01\x01");
    let token = Secret::new("abc");
    assert_eq!(step, Step::Lookup(Lookup::Bearer { authzid: None, token }));
    let done = success(exchange.handle_answer(Answer::Verdict(Ok(jid("other@example.org")))));
    assert_eq!(done.identity, jid("other@example.org"));
}

#[test]
fn token_of_another_account() {
    let foreign = (Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    let (mut exchange, _) = start(EXAMPLE);
    let step = exchange.handle_answer(Answer::Verdict(Ok(jid("other@example.org"))));
    assert_eq!(failure(step), foreign);
    for name in ["user@example.com", "us/er", "@"] {
        let message = format!("n,a={name},\x01auth=Bearer abc\x01\x01");
        assert_eq!(failure(start(&message).1), foreign, "{name}");
    }
}

/// RFC 7628, section 3.2.2 and 3.2.3: an error object, a dummy answer, the failure.
#[test]
fn refused_token() {
    let refused = Failure::new(Condition::CredentialsExpired, Reason::Credentials);
    for dummy in [&b"\x01"[..], b"", b"anything"] {
        let mut context = context(&[Mechanism::OauthBearer]);
        context.bearer = BearerHints {
            scope: Some("xmpp \"all\"\n".to_owned()),
            openid_configuration: Some("https://example.org/.well-known/x".to_owned()),
        };
        let (mut exchange, _) = begin(context, EXAMPLE.as_bytes());
        let error = challenge(exchange.handle_answer(Answer::Verdict(Err(refused))));
        assert_eq!(
            error,
            r#"{"status":"invalid_token","scope":"xmpp \"all\"\u000a","openid-configuration":"https://example.org/.well-known/x"}"#
        );
        assert_eq!(exchange.handle_response(dummy), Step::Failed(refused));
    }
}

#[test]
fn other_failures_need_no_hints() {
    let (mut exchange, _) = start(EXAMPLE);
    let refused = Failure::new(Condition::AccountDisabled, Reason::Account);
    assert_eq!(exchange.handle_answer(Answer::Verdict(Err(refused))), Step::Failed(refused));
    let (mut exchange, _) = start(EXAMPLE);
    let step = exchange.handle_answer(Answer::Unavailable);
    assert_eq!(step, Step::Failed(Failure::UNAVAILABLE));
}

/// RFC 7628, section 4.3: without a token the client asks for the hints.
#[test]
fn missing_token() {
    for message in ["\x01", "n,,\x01\x01", "n,,\x01auth=\x01\x01", "y,,\x01host=x\x01\x01"] {
        let (mut exchange, step) = start(message);
        assert_eq!(challenge(step), r#"{"status":"invalid_token"}"#, "{message:?}");
        let refused = (Condition::NotAuthorized, Reason::Credentials);
        assert_eq!(failure(exchange.handle_response(b"\x01")), refused);
    }
}

#[test]
fn malformed_messages() {
    for message in [
        "",
        "n,,",
        "n,,\x01",
        "n,,auth=Bearer abc\x01\x01",
        "n,,\x01auth=Bearer abc",
        "n,,\x01auth\x01\x01",
        "n,,\x01=x\x01\x01",
        "n,,\x01a1=x\x01\x01",
        "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
        "n,,\x01auth=Basic abc\x01\x01",
        "n,,\x01auth=Bearer\x01\x01",
        "n,,\x01auth=Bearer \x01\x01",
        "n,,\x01auth=Bearer a b\x01\x01",
        "n,,\x01auth=Bearer a=b\x01\x01",
        "n,,\x01auth=Bearer ==\x01\x01",
        "n,,\x01auth=Bearer a\x01\x01\x01",
    ] {
        let refused = (Condition::MalformedRequest, Reason::Syntax);
        assert_eq!(failure(start(message).1), refused, "{message:?}");
    }
    let refused = (Condition::MalformedRequest, Reason::BindingMismatch);
    let message = "p=tls-exporter,,\x01auth=Bearer abc\x01\x01";
    assert_eq!(failure(start(message).1), refused);
}

#[test]
fn tokens_do_not_show() {
    assert!(!format!("{:?}", start(EXAMPLE).1).contains("vF9dft"));
}
