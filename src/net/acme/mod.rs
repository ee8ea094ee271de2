//! Certificates from an authority that speaks ACME (RFC 8555), obtained and renewed without the
//! operator.

mod account;
mod challenge;
mod error;
#[cfg(test)]
mod fake;
mod http_client;
mod manager;
mod order;
mod schedule;
#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use challenge::{ChallengeKind, ChallengeStore};
pub use error::{AcmeError, Refusal};
pub use manager::{AcmeManager, Now};

#[derive(Clone, Debug)]
pub struct AcmeOptions {
    /// URL of the authority's directory (RFC 8555 §7.1.1).
    pub directory: String,
    /// URLs such as `mailto:admin@example.org`.
    pub contact: Vec<String>,
    pub challenge: ChallengeKind,
    /// PEM file with the authorities that may vouch for the directory itself; the system's if
    /// None.
    pub root: Option<PathBuf>,
    /// Account and certificates are kept in `acme/` below it.
    pub data_dir: PathBuf,
    /// XMPP hosts that are to have certificates. Each covers its services (`conference.` …)
    /// too, as far as the authority can reach them by these names.
    pub domains: Vec<String>,
}
