use std::sync::Arc;

use super::client::ScramClient;
use super::*;

const PASSWORD: &str = "pencil";

/// Runs an exchange with a fixed server nonce.
struct Replay {
    hash: ScramHash,
    plus: bool,
    server_nonce: &'static str,
    salt: &'static str,
    iterations: u32,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

fn replay(vector: &Replay, context: Context) -> Success {
    let salt = encoding::strict(vector.salt).unwrap();
    let keys = ScramKeys::derive(vector.hash, PASSWORD, &salt, vector.iterations).unwrap();
    let scram = Scram::new(vector.hash, vector.plus, vector.server_nonce.to_owned());
    let mut exchange = Exchange { context, machine: Machine::Scram(Box::new(scram)) };
    let step = exchange.handle_response(vector.client_first.as_bytes());
    assert!(matches!(step, Step::Lookup(Lookup::ScramKeys { hash, .. }) if hash == vector.hash));
    let step = exchange.handle_answer(Answer::ScramKeys(Some(keys)));
    assert_eq!(challenge(step), vector.server_first);
    let done = success(exchange.handle_response(vector.client_final.as_bytes()));
    assert_eq!(done.data.as_deref(), Some(vector.server_final.as_bytes()));
    done
}

#[test]
fn rfc_5802_example() {
    let vector = Replay {
        hash: ScramHash::Sha1,
        plus: false,
        server_nonce: "3rfcNHYJY1ZVvWVs7j",
        salt: "QSXCR+Q6sek8bf92",
        iterations: 4096,
        client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                       p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    };
    let done = replay(&vector, context(&[scram(ScramHash::Sha1, false)]));
    assert_eq!(done.identity, jid("user@example.org"));
    assert_eq!(done.mechanism.name(), "SCRAM-SHA-1");
    assert_eq!(done.binding, None);
}

#[test]
fn rfc_7677_example() {
    let vector = Replay {
        hash: ScramHash::Sha256,
        plus: false,
        server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        iterations: 4096,
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    };
    replay(&vector, context(&[scram(ScramHash::Sha256, false)]));
}

/// The exchange that the Go package xdg-go/scram publishes for SHA-512.
#[test]
fn published_sha_512_example() {
    let vector = Replay {
        hash: ScramHash::Sha512,
        plus: false,
        server_nonce: "4FHzBxBhPzykjGStpoxdfs4Nyp1mtC9B",
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        iterations: 10_000,
        client_first: "n,,n=user,r=/uAp+YhRXyuq+1zS3YWsUsZHpxLfGkcQ",
        server_first: "r=/uAp+YhRXyuq+1zS3YWsUsZHpxLfGkcQ4FHzBxBhPzykjGStpoxdfs4Nyp1mtC9B,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10000",
        client_final: "c=biws,r=/uAp+YhRXyuq+1zS3YWsUsZHpxLfGkcQ4FHzBxBhPzykjGStpoxdfs4Nyp1mtC9B,\
                       p=E2tqtuwJz5ShFuck1/KeqZKCmGZe/Lxjyr6fTZio21wZtlpgyeYLNxxQXrLuK/FfMSCany\
                       DRmI1q5KL1Tj54nQ==",
        server_final: "v=qKOkLNGdt0VrlVkoL3kXjhWmI4SjEfqw8ogXgikzbPOMh6gloo8Mrboq/q3cz0/7hIvcQ1N9\
                       VL4m7iiSTTyolQ==",
    };
    replay(&vector, context(&[scram(ScramHash::Sha512, false)]));
}

/// The exchange in the example of XEP-0474, version 0.5, bound by (fake) `tls-exporter` data.
/// The proof in the examples of XEP-0388 does not belong to its messages.
#[test]
fn xep_0474_example() {
    let nonce = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6";
    let auth_message = format!(
        "n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6,\
         r={nonce},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,\
         c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r={nonce},\
         x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3"
    );
    let salt = encoding::strict("QSXCR+Q6sek8bf92").unwrap();
    let keys = ScramKeys::derive(ScramHash::Sha1, PASSWORD, &salt, 4096).unwrap();
    let proof = encoding::strict("M/SIDjT+dfcxUh89jZEypRvFxB4=").unwrap();
    let signature = keys.verify_proof(&[auth_message.as_bytes()], &proof).unwrap();
    assert_eq!(encoding::encode(&signature), "MQrMPvv7yv4x4Cq4W4Ih25EqS2c=");
}

/// The value in the example of XEP-0474, version 0.5.
#[test]
fn downgrade_protection_example() {
    let mut context =
        context(&[scram(ScramHash::Sha1, true), scram(ScramHash::Sha1, false), Mechanism::Plain]);
    Arc::make_mut(&mut context.offer).mechanisms.retain(|mechanism| *mechanism != Mechanism::Plain);
    context.downgrade_protection = true;
    let mut client = ScramClient::new(ScramHash::Sha1, "user", PASSWORD);
    let (mut exchange, _) =
        Exchange::start(scram(ScramHash::Sha1, false), Some(&client.first()), context);
    let keys = ScramKeys::generate(ScramHash::Sha1, PASSWORD, 4096).unwrap();
    let server_first = challenge(exchange.handle_answer(Answer::ScramKeys(Some(keys))));
    assert!(server_first.ends_with(",i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="), "{server_first}");
    let last = client.last(&server_first);
    let done = success(exchange.handle_response(&last));
    assert!(client.accepts(&done.data.unwrap()));
    // A client whose server-first was altered signs other octets.
    let (mut exchange, _) =
        begin(super::context(&[scram(ScramHash::Sha1, false)]), &client.first());
    let keys = ScramKeys::generate(ScramHash::Sha1, PASSWORD, 4096).unwrap();
    let server_first = challenge(exchange.handle_answer(Answer::ScramKeys(Some(keys))));
    let last = client.last(&format!("{server_first},h=G6k/rBLDqgOhRRaCuuatSDFkJ08="));
    let refused = failure(exchange.handle_response(&last));
    assert_eq!(refused, (Condition::NotAuthorized, Reason::Credentials));
}

/// Logs in with every hash, with and without each channel binding.
#[test]
fn every_variant_logs_in() {
    for hash in ScramHash::ALL {
        let keys = ScramKeys::generate(hash, PASSWORD, 4096).unwrap();
        for binding in [None, Some(BindingType::TlsExporter), Some(BindingType::TlsServerEndPoint)]
        {
            let context = context(&[scram(hash, binding.is_some())]);
            let mut client = ScramClient::new(hash, "user", PASSWORD);
            if let Some(binding) = binding {
                let data = context.bindings.data(binding).unwrap().to_vec();
                client = client.bound(binding.name(), &data);
            }
            let (mut exchange, step) = begin(context, &client.first());
            let wanted = Lookup::ScramKeys { account: jid("user@example.org"), hash };
            assert_eq!(step, Step::Lookup(wanted));
            let step = exchange.handle_answer(Answer::ScramKeys(Some(keys.clone())));
            let done = success(exchange.handle_response(&client.last(&challenge(step))));
            assert!(client.accepts(done.data.as_deref().unwrap()));
            assert_eq!(done.binding, binding);
            assert_eq!(done.mechanism, scram(hash, binding.is_some()));
        }
    }
}

#[test]
fn missing_initial_response_is_asked_for() {
    let mut client = ScramClient::new(ScramHash::Sha256, "user", PASSWORD);
    let mechanism = scram(ScramHash::Sha256, false);
    let (mut exchange, step) = Exchange::start(mechanism, None, context(&[mechanism]));
    assert_eq!(step, Step::Challenge(Vec::new()));
    assert!(matches!(exchange.handle_response(&client.first()), Step::Lookup(_)));
}

#[test]
fn user_names_are_unescaped_and_normalised() {
    let accounts = [
        ("user", "user@example.org"),
        ("USER", "user@example.org"),
        ("user@example.org", "user@example.org"),
        ("User@Example.ORG", "user@example.org"),
        ("a=2Cb=3Dc", "a,b=c@example.org"),
        ("=3d=2c", "=,@example.org"),
    ];
    for (name, account) in accounts {
        let message = format!("n,,n={name},r=abc");
        let (_, step) = begin(context(&[scram(ScramHash::Sha1, false)]), message.as_bytes());
        let account = jid(account);
        assert_eq!(step, Step::Lookup(Lookup::ScramKeys { account, hash: ScramHash::Sha1 }));
    }
}

/// A password outside of ASCII fits, however the client prepared it.
#[test]
fn every_preparation_of_a_password_is_accepted() {
    // A non-breaking space, the ligature "ﬁ" and a decomposed "é": RFC 4013 changes all three,
    // RFC 8265 the first and the last.
    let typed = "a\u{a0}b\u{fb01}e\u{301}";
    let forms = ["a bfi\u{e9}", "a b\u{fb01}\u{e9}", typed];
    let keys = ScramKeys::generate(ScramHash::Sha256, typed, 4096).unwrap();
    for form in forms {
        let mut client = ScramClient::new(ScramHash::Sha256, "user", form);
        let (mut exchange, _) = begin(context(&[scram(ScramHash::Sha256, false)]), &client.first());
        let step = exchange.handle_answer(Answer::ScramKeys(Some(keys.clone())));
        let done = success(exchange.handle_response(&client.last(&challenge(step))));
        assert!(client.accepts(&done.data.unwrap()), "{form:?}");
        assert!(keys.verify_password(form));
    }
    assert!(!keys.verify_password("a bfie"));
}

#[test]
fn nonces_differ() {
    let first = b"n,,n=user,r=abc";
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..50 {
        let (mut exchange, _) = begin(context(&[scram(ScramHash::Sha1, false)]), first);
        let server_first = challenge(exchange.handle_answer(Answer::ScramKeys(None)));
        let nonce = server_first.split(',').next().unwrap().to_owned();
        assert_eq!(nonce.len(), "r=abc".len() + 24);
        assert!(nonces.insert(nonce));
    }
}
