//! Everybody who is not a client: other servers and components.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::RemoteRoute;
use wello_kernel::links::Link;
use wello_wire::error::StanzaError;
use wello_wire::stanza::Stanza;

use crate::component::ComponentServer;
use crate::s2s::S2sServer;

/// Sorts what is for addresses that are not of this server's accounts and services.
pub struct Remote {
    pub components: Arc<ComponentServer>,
    /// `None` when this server keeps to itself.
    pub s2s: Option<Arc<S2sServer>>,
}

#[async_trait]
impl RemoteRoute for Remote {
    async fn send(&self, _kernel: &Arc<Kernel>, stanza: Stanza) -> Result<(), StanzaError> {
        if stanza.to.as_ref().is_some_and(|to| self.components.serves(to.domain())) {
            return self.components.post(stanza);
        }
        match &self.s2s {
            Some(s2s) => s2s.post(stanza),
            None => Err(StanzaError::remote_server_not_found("this server does not federate")),
        }
    }

    fn links(&self) -> Vec<Link> {
        self.s2s.as_ref().map(|s2s| s2s.links()).unwrap_or_default()
    }
}
