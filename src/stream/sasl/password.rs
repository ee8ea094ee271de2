//! The forms in which clients present one password.

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::Profile;
use thiserror::Error;

/// Longest password that is accepted, in octets. Longer ones only cost time.
pub const MAX_PASSWORD: usize = 1024;

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    #[error("password is empty")]
    Empty,
    #[error("password is longer than {MAX_PASSWORD} octets")]
    TooLong,
    #[error("password contains a character that neither RFC 4013 nor RFC 8265 allows")]
    Character,
}

/// Every form of `password` that a client may derive its proof from, without repetition.
///
/// Clients prepare passwords by RFC 4013 (SASLprep), by RFC 8265 (OpaqueString) or not at all.
/// The three agree on ASCII; for the rest the server must know each form. The first one is the
/// canonical form, for hashes that can hold only one.
///
/// # Errors
/// Says why no client could log in with such a password.
pub fn password_forms(password: &str) -> Result<Vec<String>, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    if password.len() > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    let saslprep = stringprep::saslprep(password).ok();
    let opaque = OpaqueString::new().enforce(password).ok();
    let mut forms: Vec<String> = Vec::new();
    for form in [saslprep, opaque].into_iter().flatten().filter(|form| !form.is_empty()) {
        if !forms.iter().any(|known| *known == form) {
            forms.push(form.into_owned());
        }
    }
    if forms.is_empty() {
        return Err(PasswordError::Character);
    }
    if !forms.iter().any(|known| known == password) {
        forms.push(password.to_owned());
    }
    Ok(forms)
}
