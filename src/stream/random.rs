//! Random numbers that nobody can guess.

/// An unguessable id (RFC 6120, section 4.7.3) of 120 random bits, as 24 characters of base 32.
pub fn random_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    random_bytes::<24>().iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Random bytes of cryptographic quality.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness no secret could be kept: stopping is the only safe answer.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
