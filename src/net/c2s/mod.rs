//! Client connections: one task owns each of them.

mod certificate;
mod hibernate;
mod login;
mod settle;
mod snapshot;
mod task;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::RootCertStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wello_kernel::Kernel;
use wello_kernel::config::Registration;
use wello_store::StoreError;
use wello_stream::c2s::{Channel, FeatureCache, HostSettings, RegistrationOffer, Settings};
use wello_stream::sasl::{ChannelBindings, Mechanism, ScramHash};
use wello_wire::jid::BareJid;

use crate::admission::ConnectionPermit;
use crate::listener::Accepted;
use crate::tls::{ListenerKind, TlsAcceptor, TlsInfo};

use hibernate::Sleeper;
use task::{Peer, Secured, Task};
pub(crate) use transport::poll_read;
pub use transport::{Frames, Transport};

/// Serves clients on whatever transport they come.
pub struct C2sServer {
    pub(super) kernel: Arc<Kernel>,
    pub(super) acceptor: TlsAcceptor,
    settings: RwLock<Arc<Settings>>,
    /// Those whose certificates name accounts.
    client_authorities: RootCertStore,
    /// Taken while a client is not logged in.
    unauthenticated: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Sessions that outlive the process; none once they are stored.
    sleepers: Mutex<Option<Vec<Sleeper>>>,
}

/// Who holds what counts a client's connection.
enum Counted {
    Here(ConnectionPermit),
    Elsewhere(Weak<ConnectionPermit>),
}

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

impl C2sServer {
    pub async fn new(
        kernel: Arc<Kernel>,
        acceptor: TlsAcceptor,
        client_authorities: RootCertStore,
        shutdown: CancellationToken,
    ) -> Result<Arc<C2sServer>, StoreError> {
        Ok(Arc::new(C2sServer {
            settings: RwLock::new(Arc::new(settings(&kernel).await?)),
            unauthenticated: Arc::new(Semaphore::new(kernel.config.limits.unauthenticated)),
            kernel,
            acceptor,
            client_authorities,
            shutdown,
            tasks: TaskTracker::new(),
            sleepers: Mutex::new(Some(Vec::new())),
        }))
    }

    /// Offers new streams what all accounts can log in by now.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let settings = Arc::new(settings(&self.kernel).await?);
        *self.settings.write() = settings;
        Ok(())
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// A client that begins in plain text.
    pub fn serve_tcp(self: &Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        let peer = Peer { address: peer.ip(), transport: "tcp", secure: false };
        self.spawn(Transport::Tcp(stream), peer, Secured::default(), Counted::Here(permit));
    }

    /// A client that begins with TLS (XEP-0368).
    pub fn serve_direct_tls(self: &Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        let address = peer.ip();
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            match server.acceptor.accept(stream, ListenerKind::C2sDirect).await {
                Ok(Some((stream, info))) => {
                    let peer = Peer { address, transport: "tls", secure: true };
                    let transport = Transport::Tls(Box::new(stream));
                    let secured = server.secured(&info);
                    server.spawn(transport, peer, secured, Counted::Here(permit));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%address, %error, "handshake failed"),
            }
        });
    }

    /// A client behind the HTTP layer. `secure` when it came over HTTPS or through a proxy that
    /// is trusted to have. `connection` is the one it came on, which may close before the client
    /// goes.
    pub fn serve_frames(
        self: &Arc<Self>,
        frames: Frames,
        address: IpAddr,
        transport: &'static str,
        secure: bool,
        bindings: ChannelBindings,
        connection: Weak<ConnectionPermit>,
    ) {
        let peer = Peer { address, transport, secure };
        let channel = Channel { secure, bindings, certificate: false };
        let secured = Secured { channel, accounts: Vec::new() };
        self.spawn(Transport::Frames(frames), peer, secured, Counted::Elsewhere(connection));
    }

    /// What a handshake is good for.
    pub(super) fn secured(&self, info: &TlsInfo) -> Secured {
        let (hosts, now) = (&self.kernel.hosts, self.kernel.clock.now());
        let accounts = certificate::accounts(info, &self.client_authorities, hosts, now);
        let certificate = !accounts.is_empty();
        let channel = Channel { secure: true, bindings: bindings(info), certificate };
        Secured { channel, accounts }
    }

    fn spawn(
        self: &Arc<Self>,
        transport: Transport,
        peer: Peer,
        secured: Secured,
        connection: Counted,
    ) {
        let Ok(permit) = Arc::clone(&self.unauthenticated).try_acquire_owned() else {
            tracing::warn!(address = %peer.address, "too many clients are not logged in");
            return;
        };
        let (held, connection) = match connection {
            Counted::Here(connection) => {
                let connection = Arc::new(connection);
                let weak = Arc::downgrade(&connection);
                (Some(connection), weak)
            }
            Counted::Elsewhere(connection) => (None, connection),
        };
        let task = Task::new(Arc::clone(self), transport, peer, secured, permit, connection);
        self.tasks.spawn(Box::new(task).run(held));
    }

    /// Waits until all connections are closed.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes up the sessions that waited for their clients when the server was stopped; how many.
    /// To be called before any client is served.
    pub async fn restore_sessions(self: &Arc<Self>) -> Result<usize, StoreError> {
        hibernate::restore(self).await
    }

    /// Stores the sessions that wait for their clients; how many. To be called when the
    /// connections are closed.
    pub async fn save_sessions(self: &Arc<Self>) -> Result<usize, StoreError> {
        hibernate::save(self).await
    }
}

/// What SASL can bind to.
pub fn bindings(info: &TlsInfo) -> ChannelBindings {
    ChannelBindings {
        tls_exporter: info.channel_bindings.tls_exporter,
        tls_server_end_point: info.channel_bindings.tls_server_end_point.as_deref().map(Into::into),
    }
}

async fn settings(kernel: &Arc<Kernel>) -> Result<Settings, StoreError> {
    let config = &kernel.config;
    let registration = match config.auth.registration {
        Registration::Closed => RegistrationOffer::Closed,
        Registration::Invite => RegistrationOffer::Invite,
        Registration::Open => RegistrationOffer::Open,
    };
    let enabled = kernel.accounts.mechanisms().iter().copied();
    let enabled: Vec<_> = enabled.chain(kernel.accounts.fast_mechanisms()).collect();
    let mechanisms = with_channel_binding(&enabled);
    let mut lacking = HashMap::new();
    for hash in ScramHash::ALL {
        lacking.insert(hash, kernel.accounts.domains_lacking(hash).await?);
    }
    let lacks = |hash, domain: &String| lacking.get(&hash).is_some_and(|all| all.contains(domain));
    let mut hosts = HashMap::new();
    for name in &kernel.hosts {
        let Ok(domain) = BareJid::from_parts(None, name) else { continue };
        let features = kernel.stream_features(&domain).await;
        let written = FeatureCache::default();
        // Guests have nothing to show but the token of their link.
        let (mechanisms, registration) = match kernel.accounts.guests.serves(name) {
            true => (vec![Mechanism::OauthBearer], RegistrationOffer::Closed),
            false => (for_all_accounts(&mechanisms, |hash| lacks(hash, name)), registration),
        };
        let settings = HostSettings { domain, mechanisms, registration, features, written };
        hosts.insert(name.clone(), settings);
    }
    Ok(Settings {
        hosts,
        limits_before_login: config.limits.before_login(),
        limits: config.limits.stream(),
        idle: Duration::from_secs(config.limits.idle_seconds),
        hibernation: config.sessions.hibernation(),
        bind_inline: kernel.hooks().bind_inline_features(),
        fakes: kernel.accounts.fakes().clone(),
        scram_iterations: config.auth.scram_iterations,
    })
}

/// Without the SCRAM mechanisms that some account has no keys for, as long as others are left: where
/// accounts have no hash in common, somebody is misled in any case.
fn for_all_accounts(mechanisms: &[Mechanism], lacks: impl Fn(ScramHash) -> bool) -> Vec<Mechanism> {
    let lacks = |mechanism: &Mechanism| match mechanism {
        Mechanism::Scram { hash, .. } => Some(lacks(*hash)),
        _ => None,
    };
    let common = mechanisms.iter().any(|mechanism| lacks(mechanism) == Some(false));
    let usable = |mechanism: &Mechanism| !(common && lacks(mechanism) == Some(true));
    mechanisms.iter().copied().filter(usable).collect()
}

/// Each SCRAM mechanism comes with its `-PLUS` variant; the offer leaves out what the channel
/// cannot do.
fn with_channel_binding(mechanisms: &[Mechanism]) -> Vec<Mechanism> {
    let both = |mechanism: &Mechanism| match *mechanism {
        Mechanism::Scram { hash, .. } => {
            vec![Mechanism::Scram { hash, plus: true }, Mechanism::Scram { hash, plus: false }]
        }
        other => vec![other],
    };
    let mut all: Vec<Mechanism> = mechanisms.iter().flat_map(both).collect();
    all.sort_by_key(|mechanism| Mechanism::ALL.iter().position(|known| known == mechanism));
    all
}
