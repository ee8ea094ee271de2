//! Everybody who is not a client: other servers and components, from the configuration to their
//! listeners and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustls::RootCertStore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::config::{Config, S2s};
use wello_net::admission::Admission;
use wello_net::component::ComponentServer;
use wello_net::listener::{Accepted, ListenOptions, Listener};
use wello_net::remote::Remote;
use wello_net::s2s::S2sServer;
use wello_net::tls::{CertificateStore, TlsAcceptor, roots_from_file, system_roots};

/// Connections of all components together.
const MAX_COMPONENT_CONNECTIONS: usize = 1000;

pub struct Federation {
    /// `None` when the operator wants none.
    s2s: Option<Arc<S2sServer>>,
    components: Arc<ComponentServer>,
    shutdown: CancellationToken,
}

impl Federation {
    /// From now on stanzas for others go there.
    pub fn open(
        kernel: &Arc<Kernel>,
        acceptor: &TlsAcceptor,
        certificates: &Arc<CertificateStore>,
    ) -> anyhow::Result<Federation> {
        check_components(kernel)?;
        let shutdown = CancellationToken::new();
        let config = &kernel.config.s2s;
        let s2s = match config.enabled {
            true => Some(S2sServer::new(
                Arc::clone(kernel),
                acceptor.clone(),
                Arc::clone(certificates),
                authorities(config)?,
                shutdown.clone(),
            )?),
            false => None,
        };
        let components = ComponentServer::new(Arc::clone(kernel), shutdown.clone());
        let remote = Remote { components: Arc::clone(&components), s2s: s2s.clone() };
        kernel.install_remote(Arc::new(remote));
        Ok(Federation { s2s, components, shutdown })
    }

    /// Binds the listeners, then accepts; returns the addresses.
    pub fn listen(&self, kernel: &Kernel, stop: &CancellationToken) -> anyhow::Result<Vec<String>> {
        let config = &kernel.config;
        let mut addresses = Vec::new();
        if let Some(s2s) = &self.s2s {
            let admission = admission(config, config.s2s.connections);
            for address in &config.s2s.listen {
                let server = Arc::clone(s2s);
                let serve = move |accepted| server.serve_tcp(accepted);
                addresses.push(listen("s2s", *address, &admission, stop, serve)?);
            }
            for address in &config.s2s.listen_tls {
                let server = Arc::clone(s2s);
                let serve = move |accepted| server.serve_direct_tls(accepted);
                addresses.push(listen("s2s_tls", *address, &admission, stop, serve)?);
            }
        }
        // Nobody is expected while there are none.
        if !config.component.is_empty() {
            let admission = admission(config, MAX_COMPONENT_CONNECTIONS);
            for address in &config.listen.components {
                let server = Arc::clone(&self.components);
                let serve = move |accepted| server.serve(accepted);
                addresses.push(listen("components", *address, &admission, stop, serve)?);
            }
        }
        Ok(addresses)
    }

    /// Sends what is ready to go and closes all streams. To be called when the sessions have ended, so that
    /// others are told.
    pub async fn close(&self, patience: Duration) {
        self.shutdown.cancel();
        if let Some(s2s) = &self.s2s
            && timeout(patience, s2s.drained()).await.is_err()
        {
            tracing::warn!("some streams of other servers did not close in time");
        }
        if timeout(patience, self.components.drained()).await.is_err() {
            tracing::warn!("some components did not close in time");
        }
    }
}

/// Whose certificates are good for a server.
pub fn authorities(config: &S2s) -> anyhow::Result<RootCertStore> {
    let mut roots = system_roots().unwrap_or_else(|error| {
        tracing::warn!("no certificate of another server is known to be good: {error}");
        RootCertStore::empty()
    });
    if let Some(file) = &config.ca {
        roots.roots.extend(roots_from_file(file).context("s2s.ca")?.roots);
    }
    Ok(roots)
}

/// A component cannot take the place of a service of ours.
fn check_components(kernel: &Kernel) -> anyhow::Result<()> {
    let taken = |domain: &String| kernel.hooks().services.contains_key(domain);
    match kernel.config.component.iter().find(|component| taken(&component.domain)) {
        Some(component) => {
            let domain = &component.domain;
            Err(anyhow!("component: {domain} is a service of this server already"))
        }
        None => Ok(()),
    }
}

fn admission(config: &Config, connections: usize) -> Admission {
    let per_address = config.limits.unauthenticated_per_address;
    Admission::new(connections, u32::try_from(per_address).unwrap_or(u32::MAX))
}

fn listen(
    name: &str,
    address: SocketAddr,
    admission: &Admission,
    stop: &CancellationToken,
    serve: impl FnMut(Accepted) + Send + 'static,
) -> anyhow::Result<String> {
    let listener = Listener::bind(address, ListenOptions::default())?;
    let bound = format!("{name}={}", listener.local_addr()?);
    let (admission, stop) = (admission.clone(), stop.clone());
    tokio::spawn(async move { listener.run(admission, stop.cancelled(), serve).await });
    Ok(bound)
}
