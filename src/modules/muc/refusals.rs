//! Errors of the store, in the words of stanzas.

use wello_store::StoreError;
use wello_wire::error::StanzaError;

pub fn store_failed(error: &StoreError) -> StanzaError {
    tracing::error!(%error, "room not stored or read");
    StanzaError::internal_server_error("")
}
