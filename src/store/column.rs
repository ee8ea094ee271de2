//! From column values to row types, alike for both databases.

use sha2::{Digest, Sha256};

use crate::StoreError;

/// A stored number in the range of its field.
pub(crate) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{value} is out of range")))
}

/// A number for a column; more than the column can hold means "all".
pub(crate) fn column(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Strings as a JSON array.
pub(crate) fn to_list(strings: &[String]) -> String {
    serde_json::Value::from(strings).to_string()
}

/// Strings from a JSON array.
pub(crate) fn from_list(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// `local@domain` as `(local, domain)`.
pub(crate) fn split_account(jid: &str) -> Result<(&str, &str), StoreError> {
    jid.split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
        .ok_or_else(|| StoreError::Address(jid.to_owned()))
}

/// A JID without its resource, if it has one.
pub(crate) fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// Stands for a peer in an archive's index. SHA-256 so that nobody can make an address that
/// falls together with another one's.
pub(crate) fn peer_hash(bare_jid: &str) -> i64 {
    let digest = Sha256::digest(bare_jid.as_bytes());
    let mut head = [0u8; 8];
    head.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(head)
}
