use std::sync::Arc;

use super::client::ScramClient;
use super::*;

const SHA1: Mechanism = scram(ScramHash::Sha1, false);
const SHA1_PLUS: Mechanism = scram(ScramHash::Sha1, true);

fn keys() -> ScramKeys {
    ScramKeys::derive(ScramHash::Sha1, "pencil", b"salt", 4096).unwrap()
}

fn client() -> ScramClient {
    ScramClient::new(ScramHash::Sha1, "user", "pencil")
}

/// Refusal of a first message.
fn first(enabled: &[Mechanism], message: &str) -> (Condition, Reason) {
    let mut context = context(&[enabled, &[SHA1_PLUS, SHA1]].concat());
    Arc::make_mut(&mut context.offer).mechanisms.retain(|mechanism| enabled.contains(mechanism));
    let mechanism = if enabled.contains(&SHA1) { SHA1 } else { SHA1_PLUS };
    failure(Exchange::start(mechanism, Some(message.as_bytes()), context).1)
}

/// Refusal of a last message that `spoil` made of the right one.
fn last(spoil: impl Fn(String) -> String) -> (Condition, Reason) {
    let mut client = client();
    let (mut exchange, _) = begin(context(&[SHA1]), &client.first());
    let step = exchange.handle_answer(Answer::ScramKeys(Some(keys())));
    let message = String::from_utf8(client.last(&challenge(step))).unwrap();
    failure(exchange.handle_response(spoil(message).as_bytes()))
}

const SYNTAX: (Condition, Reason) = (Condition::MalformedRequest, Reason::Syntax);
const CREDENTIALS: (Condition, Reason) = (Condition::NotAuthorized, Reason::Credentials);

#[test]
fn first_message_syntax() {
    for message in [
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=user,r=abc",
        "F,n,,n=user,r=abc",
        "p=,,n=user,r=abc",
        "p=tls exporter,,n=user,r=abc",
        "nn,,n=user,r=abc",
        "n,user,n=user,r=abc",
        "n,a=,n=user,r=abc",
        "n,,r=abc,n=user",
        "n,,n=user",
        "n,,n=,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=abc\u{e9}",
        "n,,n=us=er,r=abc",
        "n,,n=user=,r=abc",
        "n,,n=user=2,r=abc",
        "n,,n=user=2D,r=abc",
        "n,,n=us\0er,r=abc",
        "n,,n=user,r=abc,",
        "n,,n=user,r=abc,x",
        "n,,n=user,r=abc,xy=z",
        "n,,n=user,r=abc,1=z",
        "n,,n=user,r=abc,r=abc",
        "n,,x=y,n=user,r=abc",
    ] {
        assert_eq!(first(&[SHA1], message), SYNTAX, "{message}");
    }
}

#[test]
fn mandatory_extensions() {
    let refused = (Condition::MalformedRequest, Reason::MandatoryExtension);
    assert_eq!(first(&[SHA1], "n,,m=ext,n=user,r=abc"), refused);
    assert_eq!(first(&[SHA1], "n,,n=user,r=abc,m=ext"), refused);
    assert_eq!(last(|message| message.replacen(",p=", ",m=ext,p=", 1)), refused);
}

#[test]
fn optional_extensions_are_ignored_but_covered_by_the_proof() {
    let (_, step) = begin(context(&[SHA1]), b"n,,n=user,r=abc,x=anything");
    assert!(matches!(step, Step::Lookup(_)));
    assert_eq!(last(|message| message.replacen(",p=", ",x=later,p=", 1)), CREDENTIALS);
}

#[test]
fn channel_binding_flags() {
    let mismatch = (Condition::MalformedRequest, Reason::BindingMismatch);
    let unknown = (Condition::MalformedRequest, Reason::BindingTypeNotOffered);
    let downgrade = (Condition::NotAuthorized, Reason::BindingDowngrade);
    assert_eq!(first(&[SHA1_PLUS], "n,,n=user,r=abc"), mismatch);
    assert_eq!(first(&[SHA1_PLUS], "y,,n=user,r=abc"), mismatch);
    assert_eq!(first(&[SHA1], "p=tls-exporter,,n=user,r=abc"), mismatch);
    assert_eq!(first(&[SHA1_PLUS], "p=tls-unique,,n=user,r=abc"), unknown);
    assert_eq!(first(&[SHA1, SHA1_PLUS], "y,,n=user,r=abc"), downgrade);
    let (_, step) = begin(context(&[SHA1]), b"y,,n=user,r=abc");
    assert!(matches!(step, Step::Lookup(_)), "nothing was offered, so y is right");
}

#[test]
fn binding_type_that_was_not_offered() {
    let mut context = context(&[SHA1_PLUS]);
    Arc::make_mut(&mut context.offer)
        .bindings
        .retain(|binding| *binding != BindingType::TlsExporter);
    let (_, step) = begin(context, b"p=tls-exporter,,n=user,r=abc");
    let refused = (Condition::MalformedRequest, Reason::BindingTypeNotOffered);
    assert_eq!(failure(step), refused);
}

#[test]
fn binding_data_of_another_channel() {
    for binding in BindingType::ALL {
        let mut client = client().bound(binding.name(), b"the data of some other channel!!");
        let (mut exchange, _) = begin(context(&[SHA1_PLUS]), &client.first());
        let step = exchange.handle_answer(Answer::ScramKeys(Some(keys())));
        let step = exchange.handle_response(&client.last(&challenge(step)));
        assert_eq!(failure(step), (Condition::NotAuthorized, Reason::BindingData));
    }
}

#[test]
fn header_that_changes_between_the_messages() {
    let mut client = client();
    let (mut exchange, _) = begin(context(&[SHA1]), &client.first());
    let step = exchange.handle_answer(Answer::ScramKeys(Some(keys())));
    client.header = "y,,".to_owned();
    let step = exchange.handle_response(&client.last(&challenge(step)));
    assert_eq!(failure(step), (Condition::NotAuthorized, Reason::BindingData));
}

#[test]
fn authorization_identity() {
    let foreign = (Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    for authzid in ["admin@example.org", "user@example.com", "user", "user@example.org/r", "@", "="]
    {
        let encoded = authzid.replace('=', "=3D");
        let message = format!("n,a={encoded},n=user,r=abc");
        assert_eq!(first(&[SHA1], &message), foreign, "{authzid}");
    }
    for authzid in ["user@example.org", "USER@EXAMPLE.org"] {
        let message = format!("n,a={authzid},n=user,r=abc");
        let (_, step) = begin(context(&[SHA1]), message.as_bytes());
        assert!(matches!(step, Step::Lookup(_)), "{authzid}");
    }
    let mut context = context(&[SHA1]);
    context.claimed = Some(jid("other@example.org"));
    let (_, step) = begin(context, b"n,a=user@example.org,n=user,r=abc");
    assert_eq!(failure(step), foreign);
}

#[test]
fn names_nobody_can_have() {
    let refused = (Condition::NotAuthorized, Reason::UserName);
    for name in ["user@example.com", "us/er", "us er", "a@b@c", "@example.org", "\u{200e}"] {
        assert_eq!(first(&[SHA1], &format!("n,,n={name},r=abc")), refused, "{name}");
    }
}

#[test]
fn last_message_syntax() {
    let base64 = (Condition::MalformedRequest, Reason::Base64);
    assert_eq!(last(|_| String::new()), SYNTAX);
    assert_eq!(last(|message| message.replacen("c=", "x=", 1)), SYNTAX);
    assert_eq!(last(|message| message.replacen(",p=", ",r=abc,p=", 1)), SYNTAX);
    assert_eq!(last(|message| message.replacen(",p=", ",p=AAAA,p=", 1)), SYNTAX);
    assert_eq!(last(|message| message.replacen(",p=", ",q=", 1)), SYNTAX);
    assert_eq!(last(|message| format!("{message},x=y")), base64);
    assert_eq!(last(|message| format!("{message}\n")), base64);
    assert_eq!(last(|message| message.replacen("biws", "biws====", 1)), base64);
}

#[test]
fn nonce_of_another_exchange() {
    let nonce = (Condition::NotAuthorized, Reason::Nonce);
    assert_eq!(last(|message| message.replacen(",r=", ",r=x", 1)), nonce);
    assert_eq!(last(|message| message.replacen(",p=", "x,p=", 1)), nonce);
}

#[test]
fn wrong_proofs() {
    assert_eq!(last(|message| format!("{}p=", message.split("p=").next().unwrap())), CREDENTIALS);
    assert_eq!(
        last(|message| format!("{}p=AAAA", message.split("p=").next().unwrap())),
        CREDENTIALS
    );
    let longer = |message: String| {
        let (rest, proof) = message.rsplit_once("p=").unwrap();
        let mut proof = encoding::strict(proof).unwrap();
        proof.push(0);
        format!("{rest}p={}", encoding::encode(&proof))
    };
    assert_eq!(last(longer), CREDENTIALS);
    let mut client = ScramClient::new(ScramHash::Sha1, "user", "Pencil");
    let (mut exchange, _) = begin(context(&[SHA1]), &client.first());
    let step = exchange.handle_answer(Answer::ScramKeys(Some(keys())));
    let step = exchange.handle_response(&client.last(&challenge(step)));
    assert_eq!(failure(step), CREDENTIALS);
}

/// Unknown names, and accounts without keys for the hash, get the same salt every time and
/// fail at the very end.
#[test]
fn unknown_accounts_look_like_known_ones() {
    let other_hash = ScramKeys::derive(ScramHash::Sha256, "pencil", b"salt", 4096).unwrap();
    let salt = |username: &'static str, context: Context, keys: Option<ScramKeys>| {
        let mut client = ScramClient::new(ScramHash::Sha1, username, "pencil");
        let (mut exchange, _) = begin(context, &client.first());
        let server_first = challenge(exchange.handle_answer(Answer::ScramKeys(keys)));
        assert!(server_first.ends_with(",i=4096"));
        assert_eq!(failure(exchange.handle_response(&client.last(&server_first))), CREDENTIALS);
        server_first.split(',').nth(1).unwrap().to_owned()
    };
    let nobody = salt("nobody", context(&[SHA1]), None);
    assert_eq!(encoding::strict(&nobody[2..]).unwrap().len(), 16);
    assert_eq!(nobody, salt("nobody", context(&[SHA1]), None));
    assert_eq!(nobody, salt("NOBODY", context(&[SHA1]), Some(other_hash)));
    assert_ne!(nobody, salt("nobody2", context(&[SHA1]), None));
    let elsewhere = Context { domain: jid("example.com"), ..context(&[SHA1]) };
    assert_ne!(nobody, salt("nobody", elsewhere, None));
    let secret = Context { fakes: FakeKeys::new([43; 32], 4096), ..context(&[SHA1]) };
    assert_ne!(nobody, salt("nobody", secret, None));
    let (mut exchange, _) = begin(context(&[scram(ScramHash::Sha256, false)]), b"n,,n=nobody,r=a");
    let server_first = challenge(exchange.handle_answer(Answer::ScramKeys(None)));
    assert_ne!(nobody, server_first.split(',').nth(1).unwrap(), "hashes do not share a salt");
}

#[test]
fn messages_out_of_turn_and_failing_lookups() {
    let out_of_turn = (Condition::MalformedRequest, Reason::OutOfTurn);
    let unavailable = (Condition::TemporaryAuthFailure, Reason::Unavailable);
    let (mut exchange, _) = begin(context(&[SHA1]), b"n,,n=user,r=abc");
    assert_eq!(failure(exchange.handle_response(b"c=biws,r=abc,p=AAAA")), out_of_turn);
    assert_eq!(failure(exchange.handle_response(b"n,,n=user,r=abc")), out_of_turn);
    assert_eq!(failure(exchange.handle_answer(Answer::ScramKeys(None))), unavailable);
    let (mut exchange, _) = begin(context(&[SHA1]), b"n,,n=user,r=abc");
    assert_eq!(failure(exchange.handle_answer(Answer::Unavailable)), unavailable);
    let (mut exchange, _) = begin(context(&[SHA1]), b"n,,n=user,r=abc");
    let verdict = Answer::Verdict(Ok(jid("user@example.org")));
    assert_eq!(failure(exchange.handle_answer(verdict)), unavailable);
}

#[test]
fn mechanisms_that_were_not_offered() {
    let (_, step) = Exchange::start(SHA1, Some(b"n,,n=user,r=abc"), context(&[SHA1_PLUS]));
    assert_eq!(failure(step), (Condition::InvalidMechanism, Reason::MechanismNotOffered));
}

#[test]
fn messages_that_are_too_long_or_not_text() {
    let too_long = (Condition::MalformedRequest, Reason::TooLong);
    assert_eq!(first(&[SHA1], &format!("n,,n=user,r={}", "a".repeat(4096))), too_long);
    let (_, step) = begin(context(&[SHA1]), b"n,,n=us\xffer,r=abc");
    assert_eq!(failure(step), (Condition::MalformedRequest, Reason::NotUtf8));
}
