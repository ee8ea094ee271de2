//! What a server keeps of a password (RFC 5802, section 3).

use std::fmt;
use std::str::FromStr;

use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::sasl::encoding;
use crate::sasl::hash::ScramHash;
use crate::sasl::password::{PasswordError, password_forms};

/// Iterations for new keys. RFC 7677 asks for 4096 at least; 10 000 is what phones bear at each
/// login without a noticeable wait.
pub const DEFAULT_ITERATIONS: u32 = 10_000;
/// RFC 7677, section 4.
pub const MIN_ITERATIONS: u32 = 4_096;
/// Clients refuse or freeze above this, and each PLAIN login costs the server as many HMACs.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// Octets of a new salt.
pub(crate) const SALT_LEN: usize = 16;
/// Imported salts can be longer than ours; this is only a bound.
const MAX_SALT: usize = 256;
/// Key pairs for one password: RFC 4013, RFC 8265 and unprepared.
const MAX_PAIRS: usize = 3;

/// The keys of one account for one SCRAM hash. They do not reveal the password, but whoever has
/// them can play the server, and after one observed login the client; `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    hash: ScramHash,
    salt: Vec<u8>,
    iterations: u32,
    /// One for each form of the password that clients use; never empty.
    pairs: Vec<KeyPair>,
}

#[derive(Clone, PartialEq, Eq)]
struct KeyPair {
    stored: Vec<u8>,
    server: Vec<u8>,
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("iterations are not between {MIN_ITERATIONS} and {MAX_ITERATIONS}")]
    Iterations,
    #[error("salt is empty or longer than {MAX_SALT} octets")]
    Salt,
    #[error("key does not have the length of the hash")]
    KeyLength,
    #[error("not SCRAM keys as they are stored")]
    Encoding,
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

impl ScramKeys {
    /// Keys for a new password, with a random salt. Costs `iterations` HMACs, up to three times
    /// if the password is not ASCII.
    ///
    /// # Errors
    /// A password that no client could use, iterations out of bounds, no random numbers.
    pub fn generate(
        hash: ScramHash,
        password: &str,
        iterations: u32,
    ) -> Result<ScramKeys, KeyError> {
        ScramKeys::derive(hash, password, &random_salt()?, iterations)
    }

    /// Keys for a password and a known salt.
    ///
    /// # Errors
    /// A password that no client could use, salt or iterations out of bounds.
    pub fn derive(
        hash: ScramHash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, KeyError> {
        check_parameters(salt, iterations)?;
        let salted = |form: String| hash.salted_password(form.as_bytes(), salt, iterations);
        let forms = password_forms(password)?;
        let pairs = forms.into_iter().map(salted).map(|salted| KeyPair::new(hash, &salted));
        Ok(ScramKeys { hash, salt: salt.to_vec(), iterations, pairs: pairs.collect() })
    }

    /// Keys from the `SaltedPassword` that a client computed (XEP-0480).
    ///
    /// # Errors
    /// Salt or iterations out of bounds, a `SaltedPassword` of a wrong length.
    pub fn from_salted_password(
        hash: ScramHash,
        salted: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, KeyError> {
        let pair = KeyPair::new(hash, salted);
        match salted.len() == hash.output_len() {
            true => ScramKeys::from_pairs(hash, salt.to_vec(), iterations, vec![pair]),
            false => Err(KeyError::KeyLength),
        }
    }

    /// Keys as they are stored or as another server exports them (`StoredKey` and `ServerKey` of
    /// RFC 5802); those of several forms of the password stand one after the other.
    ///
    /// # Errors
    /// Salt or iterations out of bounds, keys of a wrong length.
    pub fn from_keys(
        hash: ScramHash,
        salt: &[u8],
        iterations: u32,
        stored_keys: &[u8],
        server_keys: &[u8],
    ) -> Result<ScramKeys, KeyError> {
        let length = hash.output_len();
        if stored_keys.is_empty() || stored_keys.len() != server_keys.len() {
            return Err(KeyError::KeyLength);
        }
        let pairs = stored_keys.chunks(length).zip(server_keys.chunks(length));
        let pairs = pairs
            .map(|(stored, server)| KeyPair { stored: stored.to_vec(), server: server.to_vec() });
        ScramKeys::from_pairs(hash, salt.to_vec(), iterations, pairs.take(MAX_PAIRS).collect())
    }

    /// For [`ScramKeys::from_keys`].
    pub fn stored_keys(&self) -> Vec<u8> {
        self.pairs.iter().flat_map(|pair| pair.stored.iter().copied()).collect()
    }

    /// For [`ScramKeys::from_keys`].
    pub fn server_keys(&self) -> Vec<u8> {
        self.pairs.iter().flat_map(|pair| pair.server.iter().copied()).collect()
    }

    fn from_pairs(
        hash: ScramHash,
        salt: Vec<u8>,
        iterations: u32,
        pairs: Vec<KeyPair>,
    ) -> Result<ScramKeys, KeyError> {
        check_parameters(&salt, iterations)?;
        let length = hash.output_len();
        let fits = |pair: &KeyPair| pair.stored.len() == length && pair.server.len() == length;
        match pairs.iter().all(fits) {
            true => Ok(ScramKeys { hash, salt, iterations, pairs }),
            false => Err(KeyError::KeyLength),
        }
    }

    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Checks a password that came in clear, as for PLAIN. Costs as much as [`derive`].
    ///
    /// [`derive`]: ScramKeys::derive
    pub fn verify_password(&self, password: &str) -> bool {
        let Ok(forms) = password_forms(password) else { return false };
        forms.into_iter().any(|form| {
            let salted = self.hash.salted_password(form.as_bytes(), &self.salt, self.iterations);
            let offered = KeyPair::new(self.hash, &salted);
            let same = |pair: &KeyPair| pair.stored.ct_eq(&offered.stored);
            self.pairs.iter().map(same).fold(Choice::from(0), |any, one| any | one).into()
        })
    }

    /// The `ServerSignature` if `proof` is right for one of the keys. Takes equally long
    /// whether and where it is.
    pub(in crate::sasl) fn verify_proof(&self, message: &[&[u8]], proof: &[u8]) -> Option<Vec<u8>> {
        let mut server_key = None;
        for pair in &self.pairs {
            let signature = self.hash.hmac(&pair.stored, message);
            let client_key: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
            let matches = self.hash.digest(&client_key).ct_eq(&pair.stored)
                & Choice::from(u8::from(proof.len() == signature.len()));
            if matches.into() {
                server_key = Some(&pair.server);
            }
        }
        server_key.map(|key| self.hash.hmac(key, message))
    }
}

impl KeyPair {
    fn new(hash: ScramHash, salted_password: &[u8]) -> KeyPair {
        let client_key = hash.hmac(salted_password, &[b"Client Key"]);
        let server = hash.hmac(salted_password, &[b"Server Key"]);
        KeyPair { stored: hash.digest(&client_key), server }
    }
}

/// For the store: `SCRAM-SHA-256$iterations:salt$stored:server`, as PostgreSQL writes it; the
/// last part is repeated for each further form of the password.
impl fmt::Display for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.hash.mechanism_name();
        write!(f, "{name}${}:{}", self.iterations, encoding::encode(&self.salt))?;
        for pair in &self.pairs {
            let (stored, server) = (encoding::encode(&pair.stored), encoding::encode(&pair.server));
            write!(f, "${stored}:{server}")?;
        }
        Ok(())
    }
}

impl FromStr for ScramKeys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<ScramKeys, KeyError> {
        let mut parts = text.split('$');
        let name = parts.next().unwrap_or_default();
        let hash = ScramHash::ALL.into_iter().find(|hash| hash.mechanism_name() == name);
        let (iterations, salt) =
            parts.next().and_then(|part| part.split_once(':')).ok_or(KeyError::Encoding)?;
        let iterations = iterations.parse().map_err(|_| KeyError::Encoding)?;
        let salt = encoding::strict(salt).ok_or(KeyError::Encoding)?;
        let pairs = parts.map(decode_pair).collect::<Option<Vec<_>>>().ok_or(KeyError::Encoding)?;
        match hash {
            Some(hash) if (1..=MAX_PAIRS).contains(&pairs.len()) => {
                ScramKeys::from_pairs(hash, salt, iterations, pairs)
            }
            _ => Err(KeyError::Encoding),
        }
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// A fresh salt.
pub(crate) fn random_salt() -> Result<[u8; SALT_LEN], KeyError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(KeyError::Random)?;
    Ok(salt)
}

pub(crate) fn check_parameters(salt: &[u8], iterations: u32) -> Result<(), KeyError> {
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
        return Err(KeyError::Iterations);
    }
    match (1..=MAX_SALT).contains(&salt.len()) {
        true => Ok(()),
        false => Err(KeyError::Salt),
    }
}

fn decode_pair(text: &str) -> Option<KeyPair> {
    let (stored, server) = text.split_once(':')?;
    Some(KeyPair { stored: encoding::strict(stored)?, server: encoding::strict(server)? })
}
