mod base64;
mod bearer;
pub(crate) mod client;
mod external;
mod ht;

mod keys;
mod offer;
mod plain;
mod properties;
mod scram;
mod scram_refusals;
mod upgrade;

use super::*;

/// A context on `example.org` with a channel that has both kinds of binding.
fn context(enabled: &[Mechanism]) -> Context {
    let bindings = ChannelBindings {
        tls_exporter: Some([7; 32]),
        tls_server_end_point: Some(b"hash of the certificate".to_vec()),
    };
    Context {
        domain: jid("example.org"),
        claimed: None,
        offer: Offer::new(enabled, &bindings).into(),
        bindings,
        fakes: FakeKeys::new([42; 32], 4096),
        downgrade_protection: false,
        bearer: BearerHints::default(),
        max_message: DEFAULT_MAX_MESSAGE,
    }
}

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

const fn scram(hash: ScramHash, plus: bool) -> Mechanism {
    Mechanism::Scram { hash, plus }
}

/// Starts the only mechanism that is offered with this message.
fn begin(context: Context, message: &[u8]) -> (Exchange, Step) {
    let mechanism = context.offer.mechanisms.iter().chain(&context.offer.fast).next();
    Exchange::start(*mechanism.unwrap(), Some(message), context)
}

fn failure(step: Step) -> (Condition, Reason) {
    match step {
        Step::Failed(failure) => (failure.condition, failure.reason),
        other => panic!("not a failure: {other:?}"),
    }
}

fn success(step: Step) -> Success {
    match step {
        Step::Done(success) => success,
        other => panic!("not a success: {other:?}"),
    }
}

fn challenge(step: Step) -> String {
    match step {
        Step::Challenge(data) => String::from_utf8(data).unwrap(),
        other => panic!("not a challenge: {other:?}"),
    }
}
