use super::*;

fn start(message: &[u8]) -> (Exchange, Step) {
    begin(context(&[Mechanism::Plain]), message)
}

#[test]
fn right_password() {
    for message in [
        &b"\0user\0pencil"[..],
        b"user@example.org\0user\0pencil",
        b"\0USER@example.org\0pencil",
        b"User@EXAMPLE.org\0user\0pencil",
    ] {
        let (mut exchange, step) = start(message);
        let account = jid("user@example.org");
        let password = Secret::new("pencil");
        assert_eq!(step, Step::Lookup(Lookup::Password { account: account.clone(), password }));
        let done = success(exchange.handle_answer(Answer::Verdict(Ok(account.clone()))));
        assert_eq!(done.identity, account);
        assert_eq!((done.mechanism, done.data), (Mechanism::Plain, None));
    }
}

#[test]
fn refused_by_the_account_service() {
    for condition in [Condition::NotAuthorized, Condition::AccountDisabled] {
        let (mut exchange, _) = start(b"\0user\0pencil");
        let refused = Failure::new(condition, Reason::Credentials);
        let step = exchange.handle_answer(Answer::Verdict(Err(refused)));
        assert_eq!(step, Step::Failed(refused));
        let again = exchange.handle_answer(Answer::Verdict(Ok(jid("user@example.org"))));
        assert_eq!(again, Step::Failed(Failure::UNAVAILABLE));
    }
}

#[test]
fn malformed_messages() {
    for message in [
        &b""[..],
        b"user",
        b"user\0pencil",
        b"\0\0pencil",
        b"\0user\0",
        b"\0user\0pen\0cil",
        b"\0user\0pencil\0",
    ] {
        let refused = (Condition::MalformedRequest, Reason::Syntax);
        assert_eq!(failure(start(message).1), refused, "{message:?}");
    }
    let refused = (Condition::MalformedRequest, Reason::NotUtf8);
    assert_eq!(failure(start(b"\0user\0pencil\xc0\x80").1), refused);
    let long = format!("\0user\0{}", "x".repeat(MAX_PASSWORD + 1));
    let refused = (Condition::MalformedRequest, Reason::TooLong);
    assert_eq!(failure(start(long.as_bytes()).1), refused);
}

#[test]
fn acting_for_another() {
    let refused = (Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    for authzid in ["admin@example.org", "admin", "example.org", "user@example.org/home"] {
        let message = format!("{authzid}\0user\0pencil");
        assert_eq!(failure(start(message.as_bytes()).1), refused, "{authzid}");
    }
}

#[test]
fn answers_of_the_wrong_kind() {
    let (mut exchange, _) = start(b"\0user\0pencil");
    let step = exchange.handle_answer(Answer::ScramKeys(None));
    assert_eq!(step, Step::Failed(Failure::UNAVAILABLE));
    let (mut exchange, _) = start(b"\0user\0pencil");
    let refused = (Condition::MalformedRequest, Reason::OutOfTurn);
    assert_eq!(failure(exchange.handle_response(b"\0user\0pencil")), refused);
}

#[test]
fn passwords_do_not_show() {
    let (_, step) = start(b"\0user\0pencil");
    assert!(!format!("{step:?}").contains("pencil"));
}
