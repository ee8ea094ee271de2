//! The features, each in a file or folder of its own.

mod archive;
mod carbons;
mod client_access;
mod disco;
mod forgery;
mod offline;
mod ping;
mod registration;
mod roster;

use std::sync::Arc;

use wello_kernel::config::Config;
use wello_kernel::module::Module;

/// All features, in the order in which their hooks run.
pub fn all(config: &Config) -> Vec<Arc<dyn Module>> {
    let mut modules: Vec<Arc<dyn Module>> = vec![
        Arc::new(forgery::Forgery),
        Arc::new(disco::Disco),
        Arc::new(roster::Roster),
        Arc::new(ping::Ping),
        Arc::new(carbons::Carbons),
        Arc::new(registration::Registration),
        Arc::new(client_access::ClientAccess),
    ];
    if config.archive.enabled {
        modules.push(Arc::new(archive::Archive::default()));
    }
    modules.push(Arc::new(offline::Offline));
    modules
}
