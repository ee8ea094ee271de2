//! Payloads that the server reads or writes itself, a file per function.
//!
//! Reading is lenient: unknown children and attributes are ignored. What only passes
//! through is never read into these types, so nothing of it is lost.

pub mod bind;
pub mod blocking;
pub mod cam;
pub mod caps;
pub mod carbons;
pub mod clip;
pub mod command;
pub mod contact;
pub mod csi;
pub mod data_form;
pub mod datetime;
pub mod delay;
pub mod disco;
pub(crate) mod dom;
pub mod external_services;
pub mod forward;
pub mod hints;
pub mod invite;
pub mod jingle;
pub mod last;
pub mod mam;
pub mod private;
pub mod register;
pub mod retract;
pub mod roster;
pub mod rsm;
pub mod sm;
pub mod stanza_id;
pub mod time;
pub mod upload;
pub mod vcard;
pub mod version;

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::{error::StanzaError, jid::JidError};

/// Why an element is not the payload that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    #[error("<{0}/> expected")]
    Unexpected(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} has a value that is not allowed")]
    Invalid(&'static str),
    /// Well-formed, but against a rule that its specification answers with `not-acceptable`.
    #[error("{0}")]
    Unacceptable(&'static str),
    /// Well-formed, but something that this server does not do.
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error(transparent)]
    Jid(#[from] JidError),
}

impl From<PayloadError> for StanzaError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Jid(inner) => inner.into(),
            PayloadError::Unsupported(_) => Self::feature_not_implemented(error.to_string()),
            PayloadError::Unacceptable(_) => Self::not_acceptable(error.to_string()),
            PayloadError::Unexpected(_) | PayloadError::Missing(_) | PayloadError::Invalid(_) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}
