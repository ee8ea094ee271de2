//! The way to the media engine. Who has sockets runs it; features give it commands.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use wello_sfu::Totals;
use wello_sfu::api::{Command, Fingerprint};

/// The engine takes no more commands at the moment, or there is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the media engine takes no commands")]
pub struct Busy;

pub trait MediaEngine: Send + Sync {
    /// Where clients reach it.
    fn addresses(&self) -> &[SocketAddr];

    /// Of its certificate.
    fn fingerprint(&self) -> &Fingerprint;

    /// Commands are done in the order in which they are posted.
    fn post(&self, command: Command) -> Result<(), Busy>;

    fn totals(&self) -> Totals;
}

/// The engine, once there is one: commands of the operator have none.
#[derive(Default)]
pub struct Media(OnceLock<Arc<dyn MediaEngine>>);

impl Media {
    /// The first one counts.
    pub fn install(&self, engine: Arc<dyn MediaEngine>) {
        let _ = self.0.set(engine);
    }

    pub fn engine(&self) -> Option<&Arc<dyn MediaEngine>> {
        self.0.get()
    }

    pub fn post(&self, command: Command) -> Result<(), Busy> {
        self.0.get().ok_or(Busy)?.post(command)
    }
}
