//! The features, each in a file or folder of its own.

use std::sync::Arc;

use wello_kernel::config::Config;
use wello_kernel::module::Module;

/// All features, in the order in which their hooks run.
pub fn all(_config: &Config) -> Vec<Arc<dyn Module>> {
    vec![]
}
