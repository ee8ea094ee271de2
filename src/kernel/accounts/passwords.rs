//! From a password to what is stored, and back to a yes or no. The work is done off the
//! connection tasks.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use thiserror::Error;
use tokio::sync::Semaphore;
use wello_store::{Credentials, ScramKeys as Row};
use wello_stream::sasl::{KeyError, ScramHash, ScramKeys, password_forms};

/// Why a password cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PasswordPolicyError {
    #[error("must not be empty")]
    Empty,
    #[error("{0}")]
    Unusable(String),
    #[error("the server is out of resources")]
    Resources,
}

/// Derives and checks, on a few threads at a time.
pub struct Passwords {
    iterations: u32,
    /// Each hash takes memory and a core; logins beyond that wait.
    permits: Arc<Semaphore>,
    /// Checked for accounts that have no hash, so that they take as long as others.
    decoy: String,
}

impl Passwords {
    pub fn new(iterations: u32) -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords {
            iterations,
            permits: Arc::new(Semaphore::new(cores)),
            decoy: hash("decoy").unwrap_or_default(),
        }
    }

    /// The keys of every mechanism and the hash.
    pub async fn derive(&self, password: &str) -> Result<Credentials, PasswordPolicyError> {
        if password.is_empty() {
            return Err(PasswordPolicyError::Empty);
        }
        let (password, iterations) = (password.to_owned(), self.iterations);
        self.work(move || derive(&password, iterations)).await?
    }

    /// Checks a password that came in clear, in any of the forms that clients send. `None` for an
    /// account that does not exist, which takes as long.
    pub async fn verify(&self, credentials: Option<Credentials>, password: &str) -> bool {
        let credentials = credentials.unwrap_or_default();
        let known = credentials.password_hash.is_some();
        let hash = credentials.password_hash.unwrap_or_else(|| self.decoy.clone());
        let password = password.to_owned();
        let matches = self.work(move || {
            let matches = verify(&hash, &password) && known;
            matches || (!known && verify_keys(&credentials.scram, &password))
        });
        matches.await == Ok(true)
    }

    /// The hash of a password that belongs to no account. `None` without resources.
    pub async fn hash(&self, password: &str) -> Option<String> {
        let password = password.to_owned();
        let form = move || password_forms(&password).ok()?.first().and_then(|form| hash(form));
        self.work(form).await.ok().flatten()
    }

    pub async fn matches(&self, hash: &str, password: &str) -> bool {
        let (hash, password) = (hash.to_owned(), password.to_owned());
        self.work(move || verify(&hash, &password)).await == Ok(true)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordPolicyError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| PasswordPolicyError::Resources)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordPolicyError::Resources)
    }
}

/// The keys of a stored row, if it is for this hash.
pub(super) fn keys_of(row: &Row, hash: ScramHash) -> Option<ScramKeys> {
    let (salt, iterations) = (&row.salt, row.iterations);
    ScramKeys::from_keys(hash, salt, iterations, &row.stored_key, &row.server_key)
        .ok()
        .filter(|_| row.mechanism == hash.mechanism_name())
}

pub(super) fn row_of(keys: &ScramKeys) -> Row {
    Row {
        mechanism: keys.hash().mechanism_name().into(),
        salt: keys.salt().to_vec(),
        iterations: keys.iterations(),
        stored_key: keys.stored_keys(),
        server_key: keys.server_keys(),
    }
}

fn derive(password: &str, iterations: u32) -> Result<Credentials, PasswordPolicyError> {
    let unusable = |error: KeyError| PasswordPolicyError::Unusable(error.to_string());
    let row = |hash: ScramHash| {
        ScramKeys::generate(hash, password, iterations).map(|keys| row_of(&keys)).map_err(unusable)
    };
    let scram = ScramHash::ALL.into_iter().map(row).collect::<Result<_, _>>()?;
    let forms = password_forms(password).map_err(|error| unusable(error.into()))?;
    // Its first form is the canonical one, and there always is one.
    let hash = forms.first().and_then(|form| hash(form)).ok_or(PasswordPolicyError::Resources)?;
    Ok(Credentials { scram, password_hash: Some(hash) })
}

fn hash(password: &str) -> Option<String> {
    Some(Argon2::default().hash_password(password.as_bytes()).ok()?.to_string())
}

/// Whether the hash is of one of the forms; they agree for ASCII.
fn verify(hash: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let verify = |form: &String| Argon2::default().verify_password(form.as_bytes(), &hash).is_ok();
    password_forms(password).is_ok_and(|forms| forms.iter().any(verify))
}

/// For accounts that were imported with nothing but keys.
fn verify_keys(rows: &[Row], password: &str) -> bool {
    let strongest = ScramHash::ALL.into_iter().rev();
    let keys = strongest.filter_map(|hash| rows.iter().find_map(|row| keys_of(row, hash))).next();
    keys.is_some_and(|keys| keys.verify_password(password))
}
