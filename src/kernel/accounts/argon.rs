//! Argon2 (RFC 9106) for passwords that come in clear, in memory that is used again and again: the
//! allocator would give little of it back.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;

use crate::clock::random_bytes;

/// Checks and makes hashes in PHC string format.
#[derive(Default)]
pub(super) struct Argon {
    /// Whoever works takes one; there are as many as were ever at work together.
    memory: Mutex<Vec<Vec<Block>>>,
}

/// KiB and passes of new hashes: of the choices that OWASP's Password Storage Cheat Sheet calls
/// equally strong, the one that takes the least memory.
const MEMORY: u32 = 7 * 1024;
const PASSES: u32 = 5;
const OUTPUT: usize = Params::DEFAULT_OUTPUT_LEN;

impl Argon {
    pub(super) fn hash(&self, password: &str) -> Option<String> {
        let params = Params::new(MEMORY, PASSES, 1, Some(OUTPUT)).ok()?;
        let salt = Salt::new(&random_bytes::<16>()).ok()?;
        let mut output = [0; OUTPUT];
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let argon = Argon2::new(algorithm, version, params.clone());
        self.run(&argon, password, &salt, &mut output)?;
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Some(salt),
            hash: Some(Output::new(&output).ok()?),
        };
        Some(hash.to_string())
    }

    /// Whether `hash`, with whatever parameters it was made, is of one of these passwords.
    pub(super) fn verify(&self, hash: &str, passwords: &[String]) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else { return false };
        passwords.iter().any(|password| self.matches(&hash, password).unwrap_or(false))
    }

    fn matches(&self, hash: &PasswordHash, password: &str) -> Option<bool> {
        let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let argon = Argon2::new(algorithm, version, Params::try_from(hash).ok()?);
        let mut output = vec![0; expected.len()];
        self.run(&argon, password, salt, &mut output)?;
        // Outputs compare in constant time.
        Some(Output::new(&output).ok()? == *expected)
    }

    fn run(&self, argon: &Argon2<'_>, password: &str, salt: &[u8], out: &mut [u8]) -> Option<()> {
        let mut memory = self.memory.lock().pop().unwrap_or_default();
        let blocks = argon.params().block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let done = argon.hash_password_into_with_memory(
            password.as_bytes(),
            salt,
            out,
            memory.get_mut(..blocks)?,
        );
        self.memory.lock().push(memory);
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `password` with `somesalt`, from the tests of the reference implementation.
    const FOREIGN: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
                           nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn hashes_fit_their_passwords_alone() {
        let argon = Argon::default();
        let (one, two) = (argon.hash("one").unwrap(), argon.hash("two").unwrap());
        let verify = |hash: &str, password: &str| argon.verify(hash, &[password.to_owned()]);
        assert!(verify(&one, "one") && verify(&two, "two"));
        assert!(!verify(&one, "two") && !verify(&one, "") && !verify("no hash", "one"));
        assert!(one.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{one}");
        assert_eq!(argon.memory.lock().len(), 1);
    }

    #[test]
    fn hashes_with_other_parameters_are_checked_by_them() {
        let argon = Argon::default();
        assert!(argon.verify(FOREIGN, &["wrong".to_owned(), "password".to_owned()]));
        assert!(argon.hash("next").is_some_and(|hash| argon.verify(&hash, &["next".to_owned()])));
    }
}
