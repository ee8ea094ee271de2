use super::*;

fn start(message: &[u8]) -> (Exchange, Step) {
    begin(context(&[Mechanism::External]), message)
}

#[test]
fn certificate_alone() {
    let (mut exchange, step) = start(b"");
    assert_eq!(step, Step::Lookup(Lookup::Certificate { authzid: None }));
    let done = success(exchange.handle_answer(Answer::Verdict(Ok(jid("user@example.org")))));
    assert_eq!((done.identity, done.data), (jid("user@example.org"), None));
}

/// A client, and a server as RFC 6120, section 6.3.8 has it.
#[test]
fn certificate_and_authorization_identity() {
    for (authzid, peer) in
        [("User@example.org", "user@example.org"), ("Example.NET", "example.net")]
    {
        let (mut exchange, step) = start(authzid.as_bytes());
        assert_eq!(step, Step::Lookup(Lookup::Certificate { authzid: Some(jid(peer)) }));
        let done = success(exchange.handle_answer(Answer::Verdict(Ok(jid(peer)))));
        assert_eq!(done.identity, jid(peer));
    }
}

#[test]
fn no_initial_response() {
    let context = context(&[Mechanism::External]);
    let (mut exchange, step) = Exchange::start(Mechanism::External, None, context);
    assert_eq!(step, Step::Challenge(Vec::new()));
    assert!(matches!(exchange.handle_response(b""), Step::Lookup(_)));
}

#[test]
fn acting_for_another() {
    let foreign = (Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    let (mut exchange, _) = start(b"admin@example.org");
    let step = exchange.handle_answer(Answer::Verdict(Ok(jid("user@example.org"))));
    assert_eq!(failure(step), foreign);
    for authzid in [&b"user@example.org/home"[..], b"a\0b", b"@", b"example.org, example.net"] {
        assert_eq!(failure(start(authzid).1), foreign, "{authzid:?}");
    }
}

#[test]
fn certificates_that_are_not_believed() {
    let (mut exchange, _) = start(b"user@example.org");
    let refused = Failure::not_authorized(Reason::Credentials);
    let step = exchange.handle_answer(Answer::Verdict(Err(refused)));
    assert_eq!(step, Step::Failed(refused));
    let (mut exchange, _) = start(b"");
    let step = exchange.handle_answer(Answer::FastTokens(Vec::new()));
    assert_eq!(step, Step::Failed(Failure::UNAVAILABLE));
    let refused = (Condition::MalformedRequest, Reason::NotUtf8);
    assert_eq!(failure(start(b"\xff").1), refused);
}
