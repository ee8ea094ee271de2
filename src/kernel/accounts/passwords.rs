//! From a password to what is stored, and back to a yes or no. The work is done off the
//! connection tasks.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use thiserror::Error;
use tokio::sync::Semaphore;
use wello_store::{Credentials, ScramKeys as Row};
use wello_stream::sasl::{KeyError, ScramHash, ScramKeys};

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

    pub async fn verify(&self, hash: Option<String>, password: &str) -> bool {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let password = password.to_owned();
        let matches = self.work(move || verify(&hash, &password)).await;
        matches == Ok(true) && known
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

fn derive(password: &str, iterations: u32) -> Result<Credentials, PasswordPolicyError> {
    let unusable = |error: KeyError| PasswordPolicyError::Unusable(error.to_string());
    let row = |hash: ScramHash| {
        let keys = ScramKeys::generate(hash, password, iterations).map_err(unusable)?;
        Ok(Row {
            mechanism: hash.mechanism_name().into(),
            salt: keys.salt().to_vec(),
            iterations: keys.iterations(),
            stored_key: keys.stored_keys(),
            server_key: keys.server_keys(),
        })
    };
    let scram = ScramHash::ALL.into_iter().map(row).collect::<Result<_, _>>()?;
    let hash = hash(password).ok_or(PasswordPolicyError::Resources)?;
    Ok(Credentials { scram, password_hash: Some(hash) })
}

fn hash(password: &str) -> Option<String> {
    Some(Argon2::default().hash_password(password.as_bytes()).ok()?.to_string())
}

fn verify(hash: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}
