//! Streams with other servers: those that they open to us, and those that we open to them.

mod connect;
mod dane;
mod incoming;
mod links;
mod lookup;
mod neighbours;
mod outbox;
mod outgoing;
mod policy;
mod posh;
pub mod probe;
#[cfg(target_os = "linux")]
mod progress;
mod resumption;
mod socket;
mod traffic;
mod trust;

/// Other systems tell nothing.
#[cfg(not(target_os = "linux"))]
mod progress {
    pub fn of(_: &tokio::net::TcpStream) -> Option<wello_stream::s2s::Progress> {
        None
    }
}

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wello_kernel::Kernel;
use wello_kernel::config::S2s;
use wello_kernel::links::Link;
use wello_stream::s2s::{DialbackSecret, Domain, Pair, Settings, Verdict, Verification};
use wello_wire::error::StanzaError;
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use crate::ip_network::InvalidNetwork;
use crate::listener::Accepted;
use crate::tls::{CertificateStore, ListenerKind, TlsAcceptor};

use dane::Associations;
use links::Links;
use lookup::Resolver;
use neighbours::Neighbours;
use outbox::{Charge, Outboxes, Question, Unserved};
use resumption::Resumptions;
use trust::{Proof, Untrusted, Verifier};

pub use lookup::{LookupError, Target};
pub(crate) use socket::Socket;

/// Pairs of domains that one stream may carry: a server with hosts and services of its own has a dozen.
const MAX_PAIRS: usize = 64;

/// Why there is no federation.
#[derive(Debug, Error)]
pub enum S2sError {
    #[error("s2s.private_networks: {0}")]
    Network(#[from] InvalidNetwork),
    #[error("name servers: {0}")]
    Resolver(String),
    #[error("s2s.trust_anchor: {0}")]
    TrustAnchor(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Speaks with other servers.
pub struct S2sServer {
    kernel: Arc<Kernel>,
    acceptor: TlsAcceptor,
    certificates: Arc<CertificateStore>,
    verifier: Verifier,
    settings: Arc<Settings>,
    resolver: Resolver,
    outboxes: Outboxes,
    resumptions: Resumptions,
    neighbours: Arc<Neighbours>,
    links: Arc<Links>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl S2sServer {
    /// `roots`: whose certificates are good.
    pub fn new(
        kernel: Arc<Kernel>,
        acceptor: TlsAcceptor,
        certificates: Arc<CertificateStore>,
        roots: RootCertStore,
        shutdown: CancellationToken,
    ) -> Result<Arc<S2sServer>, S2sError> {
        let config = &kernel.config.s2s;
        let resolver = Resolver::new(config)?;
        Ok(Arc::new(S2sServer {
            settings: Arc::new(settings(&kernel)),
            outboxes: Outboxes::new(config.outbox_bytes, config.domains),
            resumptions: Resumptions::new(config.connections),
            verifier: Verifier::new(roots, config)?,
            resolver,
            acceptor,
            certificates,
            neighbours: Neighbours::new(config),
            links: Arc::default(),
            shutdown,
            tasks: TaskTracker::new(),
            kernel,
        }))
    }

    fn config(&self) -> &S2s {
        &self.kernel.config.s2s
    }

    /// A server that begins in plain text.
    pub fn serve_tcp(self: &Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        let task = incoming::Task::new(Arc::clone(self), Socket::Tcp(stream), peer, None, permit);
        self.tasks.spawn(task.run());
    }

    /// A server that begins with TLS (XEP-0368).
    pub fn serve_direct_tls(self: &Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, permit, .. } = accepted;
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            match server.acceptor.accept(stream, ListenerKind::S2sDirect).await {
                Ok(Some((stream, info))) => {
                    let socket = Socket::Tls(Box::new(stream));
                    let shown = Some(info.client_certificates);
                    incoming::Task::new(server, socket, peer, shown, permit).run().await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%peer, %error, "handshake failed"),
            }
        });
    }

    /// Takes a stanza for another server. Its sender gets an error later if it cannot be sent.
    pub fn post(self: &Arc<Self>, stanza: Stanza) -> Result<(), StanzaError> {
        let needed = || StanzaError::bad_request("a stanza to another server needs addresses");
        let pair = pair_of(&stanza).ok_or_else(needed)?;
        // What others sent goes to nobody but us.
        if !self.settings.domains.contains(&pair.from) {
            return Err(StanzaError::not_allowed("this server sends for its own domains"));
        }
        let (verdict, reason) = self.judge(&pair.to);
        if verdict == policy::Verdict::Denied {
            tracing::debug!(%pair, reason, "not sent");
            return Err(StanzaError::not_allowed("this server does not talk to that one"));
        }
        let unserved = self.outboxes.post(pair, stanza)?;
        self.serve(unserved);
        Ok(())
    }

    /// The streams that carry stanzas now.
    pub fn links(&self) -> Vec<Link> {
        self.links.list()
    }

    /// Whether the operator wants to talk to a domain.
    fn judge(&self, domain: &Domain) -> (policy::Verdict, &'static str) {
        if self.kernel.blocklist.blocks_domain(domain.as_str()) {
            return (policy::Verdict::Denied, "in a block list");
        }
        policy::decide(self.config(), domain)
    }

    /// Asks the server of `verification.pair.from`.
    async fn verify(self: &Arc<Self>, verification: Verification) -> Verdict {
        let (answer, told) = oneshot::channel();
        match self.outboxes.ask(Question { verification, answer }) {
            Ok(unserved) => self.serve(unserved),
            Err(error) => return Verdict::Unknown(error),
        }
        let late = || Verdict::Unknown(StanzaError::remote_server_timeout("no answer"));
        match tokio::time::timeout(self.config().connect(), told).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) | Err(_) => late(),
        }
    }

    fn serve(self: &Arc<Self>, unserved: Unserved) {
        if let Some(charge) = unserved {
            self.tasks.spawn(outgoing::run(Arc::clone(self), charge));
        }
    }

    /// The stream that served these is gone.
    fn pass_on(self: &Arc<Self>, charges: Vec<Charge>) {
        for charge in charges {
            let pair = charge.pair.clone();
            match charge.pass_on() {
                None => self.outboxes.forget(&pair),
                unserved => self.serve(unserved),
            }
        }
    }

    /// Whether an authority says that these certificates are good for the domain.
    fn trusts(&self, chain: &[CertificateDer<'_>], domain: &Domain) -> Result<(), Untrusted> {
        self.verifier.check(chain, domain, self.kernel.clock.now())
    }

    /// Who says that they are.
    async fn prove(
        &self,
        chain: &[CertificateDer<'_>],
        associations: &Associations,
        domain: &Domain,
    ) -> Result<Proof, Untrusted> {
        let now = self.kernel.clock.now();
        self.verifier.prove(&self.resolver, chain, associations, domain, now).await
    }

    /// Whether these have arrived is not known; better told twice than lost without a word.
    async fn give_back_lost(self: &Arc<Self>, stanzas: Vec<Stanza>) {
        self.give_back(stanzas, &StanzaError::remote_server_timeout("connection lost")).await;
    }

    /// Tells the senders of what could not be sent.
    async fn give_back(self: &Arc<Self>, stanzas: Vec<Stanza>, error: &StanzaError) {
        for stanza in stanzas {
            self.kernel.metrics.remote_stanzas_returned.count(stanza.kind);
            // Whoever leaves or looks around does not care, and a client at its login probes hundreds.
            let is_told = match stanza.kind {
                Kind::Presence => matches!(
                    stanza.presence_type(),
                    Some(PresenceType::Available | PresenceType::Subscribe)
                ),
                Kind::Message | Kind::Iq => true,
            };
            if is_told && let Some(refusal) = stanza.refusal(error) {
                self.kernel.route(refusal).await;
            }
        }
    }

    /// Waits until all streams are closed.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Whose it is, and for whom.
fn pair_of(stanza: &Stanza) -> Option<Pair> {
    let (from, to) = (stanza.from.as_ref()?, stanza.to.as_ref()?);
    Some(Pair { from: Domain::of(from), to: Domain::of(to) })
}

fn settings(kernel: &Kernel) -> Settings {
    let services = kernel.hooks().services.keys();
    let components = kernel.config.component.iter().map(|component| &component.domain);
    // Nobody elsewhere reaches guests.
    let hosts = kernel.hosts.iter().filter(|host| !kernel.accounts.guests.serves(host));
    let domains = hosts.chain(services).chain(components);
    Settings {
        domains: domains.filter_map(|name| Domain::parse(name)).collect(),
        secret: DialbackSecret::random(),
        limits_before_login: kernel.config.limits.before_login(),
        limits: kernel.config.s2s.stream(&kernel.config.limits),
        pairs: MAX_PAIRS,
        bidi: kernel.config.s2s.bidi,
        resumption: kernel.config.s2s.resumption(),
    }
}
