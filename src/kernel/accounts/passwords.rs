//! From a password to what is stored, and back to a yes or no. The work is done off the
//! connection tasks.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Semaphore;
use wello_store::{Credentials, ScramKeys as Row};
use wello_stream::sasl::{KeyError, ScramHash, ScramKeys, password_forms};

use super::argon::Argon;

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
    argon: Arc<Argon>,
    /// Each hash takes memory and a core; logins beyond that wait.
    permits: Arc<Semaphore>,
    /// Checked for accounts that have no hash, so that they take as long as others.
    decoy: String,
}

impl Passwords {
    pub fn new(iterations: u32) -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let argon = Arc::new(Argon::default());
        let decoy = argon.hash("decoy").unwrap_or_default();
        Passwords { iterations, argon, permits: Arc::new(Semaphore::new(cores)), decoy }
    }

    /// The keys of every mechanism and the hash.
    pub async fn derive(&self, password: &str) -> Result<Credentials, PasswordPolicyError> {
        if password.is_empty() {
            return Err(PasswordPolicyError::Empty);
        }
        let (password, iterations) = (password.to_owned(), self.iterations);
        let argon = Arc::clone(&self.argon);
        self.work(move || derive(&argon, &password, iterations)).await?
    }

    /// Checks a password that came in clear, in any of the forms that clients send. `None` for an
    /// account that does not exist, which takes as long.
    pub async fn verify(&self, credentials: Option<Credentials>, password: &str) -> bool {
        let credentials = credentials.unwrap_or_default();
        let known = credentials.password_hash.is_some();
        let hash = credentials.password_hash.unwrap_or_else(|| self.decoy.clone());
        let (password, argon) = (password.to_owned(), Arc::clone(&self.argon));
        let matches = self.work(move || {
            // The forms agree for ASCII.
            let verify = |forms: Vec<String>| argon.verify(&hash, &forms);
            let matches = password_forms(&password).is_ok_and(verify) && known;
            matches || (!known && verify_keys(&credentials.scram, &password))
        });
        matches.await == Ok(true)
    }

    /// The hash of a password that belongs to no account. `None` without resources.
    pub async fn hash(&self, password: &str) -> Option<String> {
        let (password, argon) = (password.to_owned(), Arc::clone(&self.argon));
        let hash =
            move || password_forms(&password).ok()?.first().and_then(|form| argon.hash(form));
        self.work(hash).await.ok().flatten()
    }

    pub async fn matches(&self, hash: &str, password: &str) -> bool {
        let (hash, password) = (hash.to_owned(), password.to_owned());
        let argon = Arc::clone(&self.argon);
        let verify = move |forms: Vec<String>| argon.verify(&hash, &forms);
        self.work(move || password_forms(&password).is_ok_and(verify)).await == Ok(true)
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

fn derive(
    argon: &Argon,
    password: &str,
    iterations: u32,
) -> Result<Credentials, PasswordPolicyError> {
    let unusable = |error: KeyError| PasswordPolicyError::Unusable(error.to_string());
    let row = |hash: ScramHash| {
        ScramKeys::generate(hash, password, iterations).map(|keys| row_of(&keys)).map_err(unusable)
    };
    let scram = ScramHash::ALL.into_iter().map(row).collect::<Result<_, _>>()?;
    let forms = password_forms(password).map_err(|error| unusable(error.into()))?;
    // Its first form is the canonical one, and there always is one.
    let hash = forms.first().and_then(|form| argon.hash(form));
    let hash = hash.ok_or(PasswordPolicyError::Resources)?;
    Ok(Credentials { scram, password_hash: Some(hash) })
}

/// For accounts that were imported with nothing but keys.
fn verify_keys(rows: &[Row], password: &str) -> bool {
    let strongest = ScramHash::ALL.into_iter().rev();
    let keys = strongest.filter_map(|hash| rows.iter().find_map(|row| keys_of(row, hash))).next();
    keys.is_some_and(|keys| keys.verify_password(password))
}
