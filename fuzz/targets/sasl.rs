//! Whatever a client says in SASL, it is never believed without the password or the token.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wello_stream::sasl::{
    Answer, BearerHints, ChannelBindings, Condition, Context, DEFAULT_MAX_MESSAGE, Exchange,
    Failure, FakeKeys, Lookup, Mechanism, Offer, Reason, ScramHash, ScramKeys, Secret, Step,
};
use wello_wire::jid::BareJid;

const PASSWORD: &str = "not to be guessed by changing bytes";

static KEYS: LazyLock<ScramKeys> = LazyLock::new(|| {
    ScramKeys::derive(ScramHash::Sha256, PASSWORD, b"salt of an account", 4096)
        .expect("the password is a valid one")
});

// The first byte chooses the mechanism, each message is one line.
fuzz_target!(|data: &[u8]| {
    let Some((&choice, messages)) = data.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()];
    let mut messages = messages.split(|byte| *byte == b'\n');
    let (mut exchange, mut step) = Exchange::start(mechanism, messages.next(), context());
    loop {
        step = match step {
            Step::Challenge(_) => match messages.next() {
                Some(message) => exchange.handle_response(message),
                None => return,
            },
            Step::Lookup(lookup) => exchange.handle_answer(answer(lookup)),
            Step::Done(success) => panic!("{success:?} without the secret"),
            Step::Failed(_) => break,
        };
    }
    assert!(matches!(exchange.handle_response(b""), Step::Failed(_)), "a failure is not final");
    assert!(matches!(exchange.handle_answer(Answer::Unavailable), Step::Failed(_)));
});

fn context() -> Context {
    let bindings = ChannelBindings {
        tls_exporter: Some([7; 32]),
        tls_server_end_point: Some(b"hash of the certificate".to_vec()),
    };
    Context {
        domain: jid("localhost"),
        claimed: None,
        offer: Offer::new(&Mechanism::ALL, &bindings).into(),
        bindings,
        fakes: FakeKeys::new([42; 32], 4096),
        downgrade_protection: true,
        bearer: BearerHints::default(),
        max_message: DEFAULT_MAX_MESSAGE,
    }
}

/// Every account exists and has the same secret, which no input can hold.
fn answer(lookup: Lookup) -> Answer {
    let refused = Failure::new(Condition::NotAuthorized, Reason::Credentials);
    match lookup {
        Lookup::ScramKeys { hash: ScramHash::Sha256, .. } => Answer::ScramKeys(Some(KEYS.clone())),
        Lookup::ScramKeys { .. } => Answer::ScramKeys(None),
        Lookup::FastTokens { .. } => Answer::FastTokens(vec![Secret::new(PASSWORD)]),
        Lookup::Password { .. } | Lookup::Bearer { .. } | Lookup::Certificate { .. } => {
            Answer::Verdict(Err(refused))
        }
    }
}

fn jid(text: &str) -> BareJid {
    text.parse().expect("a valid address")
}
