//! Single values of the server itself, such as its secrets.

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// Values by key.
#[async_trait]
pub trait Meta: Send + Sync {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    async fn set(&self, key: &str, value: &Bytes) -> Result<(), StoreError>;

    /// The stored value, which is `value` when there was none. All callers get the same one.
    async fn get_or_insert(&self, key: &str, value: &Bytes) -> Result<Bytes, StoreError>;
}
