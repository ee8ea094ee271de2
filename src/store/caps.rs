//! Cache of what entity capabilities hashes stand for (XEP-0115, XEP-0390).

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// disco#info by capabilities hash. Bounded by
/// [`Options::caps_entries`](crate::Options::caps_entries): the oldest go first.
#[async_trait]
pub trait CapsCache: Send + Sync {
    /// The disco#info of a hash; the caller puts the hash function's name into the key.
    async fn get(&self, hash: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps the first one when there are several.
    async fn put(&self, hash: &str, disco_info: &Bytes) -> Result<(), StoreError>;
}
