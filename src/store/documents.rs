//! Small XML documents that an account keeps on the server: vCards and private storage.

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// Which document of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentKey {
    /// vcard-temp (XEP-0054).
    VCardTemp,
    /// Private XML storage (XEP-0049) under its payload's qualified name.
    Private { namespace: String, name: String },
}

/// Documents by account (bare JID) and key.
#[async_trait]
pub trait Documents: Send + Sync {
    async fn get(&self, account: &str, key: &DocumentKey) -> Result<Option<Bytes>, StoreError>;

    /// Stores or replaces.
    async fn set(&self, account: &str, key: &DocumentKey, xml: &Bytes) -> Result<(), StoreError>;

    /// `false` when there was none.
    async fn remove(&self, account: &str, key: &DocumentKey) -> Result<bool, StoreError>;

    /// All documents of the account, for export and quotas.
    async fn list(&self, account: &str) -> Result<Vec<(DocumentKey, Bytes)>, StoreError>;
}
