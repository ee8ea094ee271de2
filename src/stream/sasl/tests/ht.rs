use super::*;

const TOKEN: &str = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm";

fn context_of(binding: HtBinding) -> Context {
    let mut context = context(&[Mechanism::HtSha256(binding)]);
    context.bindings.tls_exporter = Some(std::array::from_fn(|index| index as u8));
    context.bindings.tls_server_end_point = Some([0xaa; 32].to_vec());
    context
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn message(pairs: Option<&str>, mac: &[u8]) -> Vec<u8> {
    let pairs = pairs.map(|pairs| format!("{pairs}\0")).unwrap_or_default();
    [b"user\0", pairs.as_bytes(), mac].concat()
}

fn mac(token: &str, role: &str, channel: &[u8], pairs: &str) -> Vec<u8> {
    let parts = [role.as_bytes(), channel, pairs.as_bytes()];
    ScramHash::Sha256.hmac(token.as_bytes(), &parts)
}

fn tokens(tokens: &[&str]) -> Answer {
    Answer::FastTokens(tokens.iter().copied().map(Secret::new).collect())
}

const REFUSED: (Condition, Reason) = (Condition::NotAuthorized, Reason::Credentials);

/// HMACs computed with another implementation (Python's `hmac`).
#[test]
fn independent_hashes() {
    for (binding, initiator, responder) in [
        (
            HtBinding::None,
            "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed",
            "4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62",
        ),
        (
            HtBinding::Expr,
            "0c5745576afeea711960549186a31a65c9f328205ee38b66825b3d4c872b395c",
            "1260579b34d55aeba4e43062a412db609a0a7153abd218b0f148445c4e83529f",
        ),
        (
            HtBinding::Endp,
            "13e31ea46e1486a85556c94c4f2733408993bde0f2fa81e8d10e9b9736a8548e",
            "52b7cbc6bc16f1584b860112a52b035ca1be02c8b1dd297a53089e98d4c21304",
        ),
    ] {
        let (mut exchange, step) = begin(context_of(binding), &message(None, &unhex(initiator)));
        let mechanism = Mechanism::HtSha256(binding);
        let account = jid("user@example.org");
        assert_eq!(step, Step::Lookup(Lookup::FastTokens { account: account.clone(), mechanism }));
        let done = success(exchange.handle_answer(tokens(&["another", TOKEN])));
        assert_eq!(done.data, Some(unhex(responder)));
        assert_eq!(done.token, Some(1));
        assert_eq!(done.binding, binding.channel_binding());
        assert_eq!((done.identity, done.mechanism), (account, mechanism));
    }
}

/// The newer draft, with and without key/value pairs.
#[test]
fn messages_with_pairs() {
    for pairs in ["", "a=b", "hash=Zm9v,x=1/2+3-4_5"] {
        let mac_of = |pairs| mac(TOKEN, "Initiator", &[], pairs);
        let start = |mac: &[u8]| begin(context_of(HtBinding::None), &message(Some(pairs), mac));
        let (mut exchange, _) = start(&mac_of(pairs));
        let done = success(exchange.handle_answer(tokens(&[TOKEN])));
        let expected = [&b"\0\0"[..], &mac(TOKEN, "Responder", &[], "")].concat();
        assert_eq!((done.token, done.data), (Some(0), Some(expected)));
        let (mut exchange, _) = start(&mac_of("a=c"));
        assert_eq!(failure(exchange.handle_answer(tokens(&[TOKEN]))), REFUSED);
    }
}

#[test]
fn wrong_tokens() {
    let right = mac(TOKEN, "Initiator", &[], "");
    for (mac, known) in [
        (right.clone(), vec![]),
        (right.clone(), vec!["another", "and another", "and one more"]),
        (right, vec![""]),
        (mac("", "Initiator", &[], ""), vec!["", TOKEN]),
        (mac(TOKEN, "Responder", &[], ""), vec![TOKEN]),
        (mac(TOKEN, "Initiator", &[7; 32], ""), vec![TOKEN]),
        (vec![0; 32], vec![TOKEN]),
    ] {
        let (mut exchange, _) = begin(context_of(HtBinding::None), &message(None, &mac));
        assert_eq!(failure(exchange.handle_answer(tokens(&known))), REFUSED);
    }
}

#[test]
fn other_channel() {
    for binding in [HtBinding::Expr, HtBinding::Endp] {
        for channel in [&[][..], &[9; 32]] {
            let mac = mac(TOKEN, "Initiator", channel, "");
            let (mut exchange, _) = begin(context_of(binding), &message(None, &mac));
            assert_eq!(failure(exchange.handle_answer(tokens(&[TOKEN]))), REFUSED);
        }
    }
}

#[test]
fn malformed_messages() {
    let long = [&b"user\0"[..], &[1; 33]].concat();
    let no_user = [&b"\0"[..], &[1; 32]].concat();
    let start = |message: &[u8]| failure(begin(context_of(HtBinding::None), message).1);
    for message in
        [&b""[..], b"user", b"user\0", &[b"user\0", &[1; 31][..]].concat(), &long, &no_user]
    {
        assert_eq!(start(message), (Condition::MalformedRequest, Reason::Syntax), "{message:?}");
    }
    for pairs in ["a", "a=", "=b", "a=b,", "a=b=c", "a=b c", "\u{e9}=b", ","] {
        let refused = (Condition::MalformedRequest, Reason::Syntax);
        assert_eq!(start(&message(Some(pairs), &[1; 32])), refused, "{pairs}");
    }
    let refused = (Condition::MalformedRequest, Reason::NotUtf8);
    assert_eq!(start(&[b"us\xffer\0", &[1; 32][..]].concat()), refused);
}

#[test]
fn fast_mechanisms_are_offered_apart() {
    let offer = context_of(HtBinding::None).offer;
    assert_eq!((offer.mechanisms.len(), offer.fast.len()), (0, 1));
    let mechanism = Mechanism::HtSha256(HtBinding::Expr);
    let (_, step) = Exchange::start(mechanism, Some(b"x"), context_of(HtBinding::None));
    assert_eq!(failure(step), (Condition::InvalidMechanism, Reason::MechanismNotOffered));
}

#[test]
fn new_tokens_differ() {
    let (one, two) = (Secret::random_token().unwrap(), Secret::random_token().unwrap());
    assert_eq!(one.expose().len(), 32);
    assert_ne!(one, two);
}
