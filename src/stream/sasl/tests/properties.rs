//! Whatever a peer sends, there is an answer and no panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::encoding::{decode, decode_initial};
use super::*;

/// Octets that get far: the delimiters of all mechanisms, names and random ones.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        select(vec![
            "n,,",
            "y,,",
            "p=tls-exporter,,",
            "a=",
            "n=",
            "r=",
            "c=",
            "p=",
            "m=",
            "=2C",
            "=3D",
            "=",
            ",",
            "\0",
            "\x01",
            "user",
            "biws",
            "auth=",
            "Bearer ",
            "AAAA",
            "user@example.org",
        ])
        .prop_map(|token: &str| token.as_bytes().to_vec()),
        vec(any::<u8>(), 0..8),
        "\\PC{0,4}".prop_map(String::into_bytes),
    ];
    vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

fn answer(lookup: &Lookup, known: bool) -> Answer {
    match lookup {
        Lookup::ScramKeys { hash, .. } => Answer::ScramKeys(
            known.then(|| ScramKeys::derive(*hash, "pencil", b"salt", 4096).unwrap()),
        ),
        Lookup::FastTokens { .. } => Answer::FastTokens(vec![Secret::new("token")]),
        Lookup::Password { .. } | Lookup::Bearer { .. } | Lookup::Certificate { .. } => {
            Answer::Verdict(Err(Failure::not_authorized(Reason::Credentials)))
        }
    }
}

proptest! {
    #[test]
    fn no_message_panics_or_logs_in(
        mechanism in select(Mechanism::ALL.to_vec()),
        messages in vec(message(), 1..4),
        initial in any::<bool>(),
        known in any::<bool>(),
    ) {
        let mut messages = messages.into_iter();
        let first = if initial { messages.next() } else { None };
        let context = context(&[mechanism]);
        let (mut exchange, mut step) = Exchange::start(mechanism, first.as_deref(), context);
        for message in messages {
            while let Step::Lookup(lookup) = &step {
                step = exchange.handle_answer(answer(lookup, known));
            }
            prop_assert!(!matches!(step, Step::Done(_)));
            step = exchange.handle_response(&message);
        }
    }

    #[test]
    fn no_text_breaks_the_decoder(text in "\\PC*", max in 0_usize..100) {
        if let Ok(data) = decode(&text, max) {
            prop_assert!(data.len() <= max);
        }
        if let Ok(Some(data)) = decode_initial(&text, max) {
            prop_assert!(data.len() <= max);
        }
    }

    #[test]
    fn no_text_breaks_stored_keys(text in "(SCRAM-SHA-1\\$)?[$:=A-Za-z0-9+/]*") {
        let _ = text.parse::<ScramKeys>();
    }

    #[test]
    fn every_password_has_forms_or_an_error(password in "\\PC*|[\\x00-\\x20]*") {
        if let Ok(forms) = password_forms(&password) {
            prop_assert!((1..=3).contains(&forms.len()));
            prop_assert!(forms.iter().all(|form| !form.is_empty()));
            prop_assert!(forms.contains(&password));
        }
    }
}
