use super::super::encoding::{decode, decode_initial, encode, encode_success};
use super::*;

#[test]
fn initial_responses() {
    assert_eq!(decode_initial("", 10), Ok(None));
    assert_eq!(decode_initial("=", 10), Ok(Some(Vec::new())));
    assert_eq!(decode_initial("AGp1bGlldA==", 10), Ok(Some(b"\0juliet".to_vec())));
    assert_eq!(decode_initial("\n  AGp1bGlldA==\n", 10), Ok(Some(b"\0juliet".to_vec())));
}

#[test]
fn responses() {
    assert_eq!(decode("", 10), Ok(Vec::new()));
    assert_eq!(decode("=", 10), Ok(Vec::new()));
    assert_eq!(decode("AQ==", 10), Ok(vec![1]));
}

#[test]
fn bad_base64() {
    for text in ["A", "AQ", "AQ=", "AR==", "AQ==AQ==", "A Q==", "A\nQ==", "_w==", "é", "====", "=="]
    {
        let refused = Failure::new(Condition::IncorrectEncoding, Reason::Base64);
        assert_eq!(decode(text, 10), Err(refused), "{text}");
        assert_eq!(decode_initial(text, 10), Err(refused), "{text}");
    }
}

#[test]
fn lengths() {
    let refused = Err(Failure::malformed(Reason::TooLong));
    for max in 0..20 {
        assert_eq!(decode(&encode(&vec![0; max]), max), Ok(vec![0; max]));
        for more in [1, 2, 3, 4, 1000] {
            assert_eq!(decode(&encode(&vec![0; max + more]), max), refused);
        }
    }
}

#[test]
fn success_data() {
    assert_eq!(encode_success(None), "");
    assert_eq!(encode_success(Some(b"")), "=");
    assert_eq!(encode_success(Some(b"\x01")), "AQ==");
}
