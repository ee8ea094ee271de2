use super::*;

#[test]
fn stored_keys_come_back() {
    for hash in ScramHash::ALL {
        for password in ["pencil", "a\u{a0}b\u{fb01}e\u{301}"] {
            let keys = ScramKeys::generate(hash, password, MIN_ITERATIONS).unwrap();
            let text = keys.to_string();
            assert!(text.starts_with(hash.mechanism_name()));
            assert_eq!(text.parse::<ScramKeys>().unwrap(), keys);
        }
    }
}

/// The verifier that PostgreSQL's documentation describes, with the keys of RFC 7677's example.
#[test]
fn stored_form_is_fixed() {
    let salt = encoding::strict("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = ScramKeys::derive(ScramHash::Sha256, "pencil", &salt, 4096).unwrap();
    let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                  WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                  wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    assert_eq!(keys.to_string(), stored);
}

#[test]
fn damaged_stored_keys() {
    let good = ScramKeys::generate(ScramHash::Sha1, "pencil", 4096).unwrap().to_string();
    let pair = good.rsplit_once('$').unwrap().1.to_owned();
    for bad in [
        String::new(),
        "SCRAM-SHA-1".to_owned(),
        "SCRAM-SHA-1$4096:c2FsdA==".to_owned(),
        good.replacen("SHA-1", "SHA-256", 1),
        good.replacen("SHA-1", "MD5", 1),
        good.replacen("4096", "1", 1),
        good.replacen("4096", "4000000000", 1),
        good.replacen("4096", "-4096", 1),
        format!("{good}$"),
        format!("{good}${pair}${pair}${pair}"),
        good.replacen(':', ":=", 1),
        format!("SCRAM-SHA-1$4096:${pair}"),
    ] {
        assert!(bad.parse::<ScramKeys>().is_err(), "{bad}");
    }
}

#[test]
fn parameters_out_of_bounds() {
    let derive = |password: &str, salt: &[u8], iterations| {
        ScramKeys::derive(ScramHash::Sha1, password, salt, iterations).unwrap_err()
    };
    assert_eq!(derive("pencil", b"salt", MIN_ITERATIONS - 1), KeyError::Iterations);
    assert_eq!(derive("pencil", b"salt", MAX_ITERATIONS + 1), KeyError::Iterations);
    assert_eq!(derive("pencil", b"", 4096), KeyError::Salt);
    assert_eq!(derive("pencil", &[0; 257], 4096), KeyError::Salt);
    assert_eq!(derive("", b"salt", 4096), KeyError::Password(PasswordError::Empty));
    assert_eq!(derive("a\u{7}", b"salt", 4096), KeyError::Password(PasswordError::Character));
    let long = "x".repeat(MAX_PASSWORD + 1);
    assert_eq!(derive(&long, b"salt", 4096), KeyError::Password(PasswordError::TooLong));
    let short = ScramKeys::from_salted_password(ScramHash::Sha256, &[0; 20], b"salt", 4096);
    assert_eq!(short.unwrap_err(), KeyError::KeyLength);
}

#[test]
fn passwords_in_clear() {
    let keys = ScramKeys::generate(ScramHash::Sha512, "pencil", 4096).unwrap();
    assert!(keys.verify_password("pencil"));
    assert!(!keys.verify_password("Pencil"));
    assert!(!keys.verify_password(""));
}

#[test]
fn salts_differ() {
    let salt = || ScramKeys::generate(ScramHash::Sha1, "pencil", 4096).unwrap().salt().to_vec();
    assert_ne!(salt(), salt());
}

#[test]
fn keys_do_not_show() {
    let keys = ScramKeys::derive(ScramHash::Sha1, "pencil", b"salt", 4096).unwrap();
    let text = format!("{keys:?} {:?}", FakeKeys::new([171; 32], 4096));
    assert_eq!(
        text,
        "ScramKeys { hash: Sha1, iterations: 4096, .. } FakeKeys { iterations: 4096, .. }"
    );
}

#[test]
fn password_forms_agree_on_ascii() {
    assert_eq!(password_forms("correct horse").unwrap(), ["correct horse"]);
    // Newer than the Unicode 3.2 of RFC 4013.
    assert_eq!(password_forms("\u{1f40e}").unwrap(), ["\u{1f40e}"]);
}
