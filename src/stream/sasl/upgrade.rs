//! SCRAM upgrade tasks (XEP-0480): a client that has just logged in hands over keys for a
//! stronger hash, which only it can compute.

use super::failure::{Failure, Reason};
use super::hash::ScramHash;
use super::scram::{KeyError, SALT_LEN, ScramKeys, check_parameters, random_salt};

/// One upgrade task, from its `<next/>` to the client's `<hash/>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    hash: ScramHash,
    salt: [u8; SALT_LEN],
    iterations: u32,
}

impl Upgrade {
    /// The hashes that are worth an upgrade, the strongest first.
    pub const HASHES: [ScramHash; 2] = [ScramHash::Sha512, ScramHash::Sha256];

    /// The task for a hash; `None` if nobody should upgrade to it.
    pub fn task_name(hash: ScramHash) -> Option<&'static str> {
        match hash {
            ScramHash::Sha1 => None,
            ScramHash::Sha256 => Some("UPGR-SCRAM-SHA-256"),
            ScramHash::Sha512 => Some("UPGR-SCRAM-SHA-512"),
        }
    }

    /// The hash behind the name of a task.
    pub fn hash_of_task(name: &str) -> Option<ScramHash> {
        Upgrade::HASHES.into_iter().find(|hash| Upgrade::task_name(*hash) == Some(name))
    }

    /// Begins with a fresh salt.
    ///
    /// # Errors
    /// Iterations out of bounds, no random numbers.
    pub fn start(hash: ScramHash, iterations: u32) -> Result<Upgrade, KeyError> {
        let salt = random_salt()?;
        check_parameters(&salt, iterations)?;
        Ok(Upgrade { hash, salt, iterations })
    }

    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    /// For the client's `<salt/>`, in base64.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The keys to store, from the `SaltedPassword` in the client's `<hash/>`.
    ///
    /// # Errors
    /// `malformed-request` if it does not have the length of the hash.
    pub fn finish(self, salted_password: &[u8]) -> Result<ScramKeys, Failure> {
        let Upgrade { hash, salt, iterations } = self;
        ScramKeys::from_salted_password(hash, salted_password, &salt, iterations)
            .map_err(|_| Failure::malformed(Reason::Syntax))
    }
}
