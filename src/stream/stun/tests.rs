use proptest::prelude::*;

use super::attribute::*;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// RFC 5769, section 2.4.
const LONG_TERM: &str = "
    00 01 00 60 21 12 a4 42 78 ad 34 33 c6 ad 72 c0 29 da 41 2e
    00 06 00 12 e3 83 9e e3 83 88 e3 83 aa e3 83 83 e3 82 af e3 82 b9 00 00
    00 15 00 1c 66 2f 2f 34 39 39 6b 39 35 34 64 36 4f 4c 33 34 6f 4c 39 46 53 54 76 79 36 34 73 41
    00 14 00 0b 65 78 61 6d 70 6c 65 2e 6f 72 67 00
    00 08 00 14 f6 70 24 65 6d d6 4a 3e 02 b8 e0 71 2e 85 c9 a2 8c a8 96 66";
/// RFC 5769, section 2.2.
const RESPONSE: &str = "
    01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
    80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
    00 20 00 08 00 01 a1 47 e1 12 a6 43
    00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7
    80 28 00 04 c0 7d 4c 96";

fn key() -> Key {
    Key::long_term("マトリックス", "example.org", "TheMatrIX")
}

#[test]
fn a_request_of_the_test_vectors() {
    let bytes = hex(LONG_TERM);
    let request = Message::parse(&bytes).unwrap();
    assert_eq!((request.class(), request.method()), (Class::Request, Some(Method::Binding)));
    assert_eq!(request.text(USERNAME), Some("マトリックス"));
    assert_eq!(request.text(REALM), Some("example.org"));
    assert_eq!(request.text(NONCE), Some("f//499k954d6OL34oL9FSTvy64sA"));
    assert!(request.is_by(&key()));
    assert!(!request.is_by(&Key::long_term("マトリックス", "example.org", "TheMatrix")));
    let mut changed = bytes.clone();
    changed[24] ^= 1;
    assert!(!Message::parse(&changed).unwrap().is_by(&key()));
}

#[test]
fn a_response_of_the_test_vectors() {
    let bytes = hex(RESPONSE);
    let response = Message::parse(&bytes).unwrap();
    assert_eq!((response.class(), response.method()), (Class::Success, Some(Method::Binding)));
    assert_eq!(response.address(XOR_MAPPED_ADDRESS), Some("192.0.2.1:32853".parse().unwrap()));
    assert!(response.has_fingerprint() && response.has_integrity());
    let mut changed = bytes.clone();
    changed[24] ^= 1;
    assert_eq!(Message::parse(&changed).err(), Some(Malformed), "fingerprint");
}

#[test]
fn what_follows_the_integrity_does_not_count() {
    let mut bytes = hex(LONG_TERM);
    bytes.extend(hex("00 0d 00 04 00 00 0e 10"));
    bytes[3] += 8;
    let request = Message::parse(&bytes).unwrap();
    assert!(request.is_by(&key()));
    assert_eq!(request.value(LIFETIME), None);
    assert_eq!(request.unknown(&[]).count(), 3);
}

#[test]
fn what_is_no_message() {
    let bytes = hex(LONG_TERM);
    for cut in 0..bytes.len() {
        assert!(Message::parse(&bytes[..cut]).is_err(), "{cut}");
    }
    for (at, value) in [(0, 0x40), (3, 0x61), (4, 0), (23, 0xff)] {
        let mut changed = bytes.clone();
        changed[at] = value;
        assert!(Message::parse(&changed).is_err(), "{at}");
    }
}

#[test]
fn a_data_indication_is_made_around_its_payload() {
    use data_indication::{HEADROOM, TAIL, wrap};
    for peer in ["192.0.2.1:5000", "[2001:db8::1]:5000"] {
        for length in [0, 1, 2, 3, 4, 1200] {
            let mut buffer = vec![0xee; HEADROOM + length + TAIL];
            let payload = HEADROOM..HEADROOM + length;
            let range = wrap(&mut buffer, payload.clone(), peer.parse().unwrap(), &[7; 12]);
            let message = Message::parse(&buffer[range]).unwrap();
            assert_eq!(
                (message.class(), message.method()),
                (Class::Indication, Some(Method::Data))
            );
            assert_eq!(message.address(XOR_PEER_ADDRESS), Some(peer.parse().unwrap()));
            assert_eq!(message.value(DATA), Some(&buffer[payload]));
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = bytes;
        if bytes.len() >= HEADER {
            let length = (bytes.len() - HEADER) as u16;
            bytes[0] &= 0x3f;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&MAGIC);
        }
        if let Ok(message) = Message::parse(&bytes) {
            message.is_by(&key());
            message.unknown(&[]).count();
            message.addresses(XOR_PEER_ADDRESS).count();
            message.range(DATA);
        }
    }

    #[test]
    fn what_is_written_is_read(
        value in proptest::collection::vec(any::<u8>(), 0..64),
        id: [u8; 12],
        ip: std::net::IpAddr,
        port: u16,
        code in 300..700_u16,
    ) {
        let address = std::net::SocketAddr::new(ip.to_canonical(), port);
        let mut bytes = vec![1, 2, 3];
        let _ = Writer::new(&mut bytes, Class::Error, Method::CreatePermission, id)
            .with(NONCE, &value)
            .with_address(XOR_RELAYED_ADDRESS, address)
            .with_error(code, "why")
            .with_integrity(&key())
            .with_fingerprint();
        let message = Message::parse(&bytes[3..]).unwrap();
        let kind = (message.class(), message.method(), message.transaction());
        prop_assert_eq!(kind, (Class::Error, Some(Method::CreatePermission), id));
        prop_assert_eq!(message.value(NONCE), Some(&value[..]));
        prop_assert_eq!(message.address(XOR_RELAYED_ADDRESS), Some(address));
        let error = message.value(ERROR_CODE).unwrap();
        prop_assert_eq!(u16::from(error[2]) * 100 + u16::from(error[3]), code);
        prop_assert!(message.is_by(&key()) && message.has_fingerprint());
    }
}
