//! Text that must not turn up in a log.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

/// A password or token. `Debug` does not show it, there is no `Display`, and comparing takes the
/// same time wherever two of equal length differ.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(secret.into())
    }

    /// A token of 192 random bits, in characters that need no escaping anywhere.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random_token() -> Result<Secret, getrandom::Error> {
        let mut token = [0; 24];
        getrandom::fill(&mut token)?;
        Ok(Secret(URL_SAFE_NO_PAD.encode(token)))
    }

    /// The secret itself, to check or to derive from.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
