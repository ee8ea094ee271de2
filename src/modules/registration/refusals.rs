//! Which stanza error says what was wrong.

use wello_kernel::accounts::{AccountError, InviteError, RegistrationError};
use wello_store::StoreError;
use wello_wire::error::StanzaError;

pub(super) fn registration(error: &RegistrationError) -> StanzaError {
    let text = error.to_string();
    match error {
        RegistrationError::Closed => StanzaError::service_unavailable(text),
        RegistrationError::InviteNeeded => invite_needed(),
        RegistrationError::InviteInvalid => StanzaError::not_allowed(text),
        // XEP-0077, section 3.1.1.
        RegistrationError::TooMany => StanzaError::not_acceptable(text),
        RegistrationError::NameTaken
        | RegistrationError::EmailTaken
        | RegistrationError::LookAlike => StanzaError::conflict(text),
        RegistrationError::Mixed => StanzaError::not_acceptable(text),
        RegistrationError::Account(error) => account(error),
        RegistrationError::Store(error) => store(error),
    }
}

pub(super) fn account(error: &AccountError) -> StanzaError {
    match error {
        AccountError::Address(..) | AccountError::Password(_) => {
            StanzaError::not_acceptable(error.to_string())
        }
        AccountError::Exists(_) | AccountError::Tombstoned(_) | AccountError::LookAlike(_) => {
            StanzaError::conflict("")
        }
        AccountError::NotFound(_) => StanzaError::registration_required(""),
        AccountError::Store(error) => store(error),
    }
}

/// XEP-0445, section 4.
pub(super) fn invitation(error: &InviteError) -> StanzaError {
    match error {
        InviteError::Store(error) => store(error),
        other => StanzaError::item_not_found(other.to_string()),
    }
}

pub(super) fn invite_needed() -> StanzaError {
    StanzaError::not_allowed("an invitation is needed")
}

pub(super) fn store(error: &StoreError) -> StanzaError {
    tracing::error!(%error, "accounts not reached");
    StanzaError::internal_server_error("")
}
