//! The features, each in a file or folder of its own.

mod archive;
mod carbons;
mod offline;
mod ping;
mod roster;

use std::sync::Arc;

use wello_kernel::config::Config;
use wello_kernel::module::Module;

/// All features, in the order in which their hooks run.
pub fn all(_config: &Config) -> Vec<Arc<dyn Module>> {
    vec![
        Arc::new(roster::Roster),
        Arc::new(ping::Ping),
        Arc::new(carbons::Carbons),
        Arc::new(archive::Archive::default()),
        Arc::new(offline::Offline),
    ]
}
