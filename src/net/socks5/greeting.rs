//! The words of SOCKS5 (RFC 1928) that XEP-0065, section 6.3.2, speaks.

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const DOMAIN_NAME: u8 = 3;
/// Octets of a SHA-1 in hexadecimal digits.
const HASH: usize = 40;

/// RFC 1928, section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotAllowed = 2,
    Command = 7,
    AddressType = 8,
}

/// The answer to a greeting, and whether there is more to say.
pub(super) fn greeting(version: u8, methods: &[u8]) -> ([u8; 2], bool) {
    let suits = version == VERSION && methods.contains(&NO_AUTHENTICATION);
    ([VERSION, if suits { NO_AUTHENTICATION } else { NO_ACCEPTABLE_METHOD }], suits)
}

/// Looks at the first five octets of a request, up to the length of the name.
pub(super) fn request(head: [u8; 5]) -> Result<(), Refusal> {
    match head {
        [VERSION, CONNECT, _, DOMAIN_NAME, length] if usize::from(length) == HASH => Ok(()),
        [VERSION, CONNECT, _, DOMAIN_NAME, _] => Err(Refusal::NotAllowed),
        [VERSION, CONNECT, ..] => Err(Refusal::AddressType),
        _ => Err(Refusal::Command),
    }
}

/// The hash in the rest of a request, which is the name and the port, with the answer: it repeats
/// both.
pub(super) fn accepted(rest: &[u8]) -> Option<(String, Vec<u8>)> {
    let (name, port) = rest.split_at_checked(HASH)?;
    let hash = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let is_hash = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || port != [0, 0] {
        return None;
    }
    let answer = [&[VERSION, 0, 0, DOMAIN_NAME, HASH as u8][..], rest].concat();
    Some((hash, answer))
}

pub(super) fn refused(refusal: Refusal) -> [u8; 10] {
    // To no address.
    [VERSION, refusal as u8, 0, 1, 0, 0, 0, 0, 0, 0]
}
