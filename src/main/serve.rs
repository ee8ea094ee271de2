//! `wello serve`: from the configuration to a running server and back.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use rustls::RootCertStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wello_http::Web;
use wello_http::server::{serve_http, serve_https};
use wello_kernel::Kernel;
use wello_kernel::config::{AcmeChallenge, Config, TlsVersion};
use wello_kernel::metrics::Metrics;
use wello_modules::push::app_server::Keys;
use wello_net::acme::{AcmeManager, AcmeOptions, ChallengeKind, ChallengeStore};
use wello_net::admission::Admission;
use wello_net::c2s::{C2sServer, HANDSHAKE_TIMEOUT};
use wello_net::ip_network::IpNetwork;
use wello_net::listener::{Accepted, ListenOptions, Listener};
use wello_net::outbound::OutboundClient;
use wello_net::socks5;
use wello_net::tls::{
    CertificateFiles, CertificateStore, HostTls, TlsAcceptor, TlsOptions, roots_from_file,
    system_roots,
};
use wello_net::turn::{self, TurnServer};
use wello_store::{Location, Options, Store};

use crate::control;
use crate::federation::Federation;
use crate::invite;
use crate::lock::{self, DataDirLock};
use crate::media;

pub async fn serve(mut config: Config) -> anyhow::Result<()> {
    let _lock = DataDirLock::take(&config.data_dir, "start another, or give this one its own")?;
    let metrics = Arc::new(Metrics::default());
    let certificates = Arc::new(open_certificates(&config)?);
    let store = open_store(&config, Some(&metrics)).await?;
    let bytestreams = bind_bytestreams(&mut config);
    let relays = turn::bind(&mut config)?;
    let media = media::bind(&mut config);
    if config.push.app_server {
        Keys::open(&config)?;
    }
    let modules = wello_modules::all(&config);
    let kernel = Kernel::new(config, store, metrics, modules).await?;
    kernel.accounts.find_shapes().await.context("names of accounts")?;
    install_outbound(&kernel)?;
    kernel.files.recover().await.context("files that were being uploaded")?;
    let shutdown = CancellationToken::new();
    let acceptor = TlsAcceptor::new(Arc::clone(&certificates), HANDSHAKE_TIMEOUT);
    let authorities = client_authorities(&kernel.config)?;
    let c2s = C2sServer::new(Arc::clone(&kernel), acceptor.clone(), authorities, shutdown.clone())
        .await?;
    let restored = c2s.restore_sessions().await.context("stored sessions")?;
    let web = Web::new(Arc::clone(&kernel), Arc::clone(&c2s)).map_err(|error| anyhow!(error))?;
    let challenges = Arc::new(ChallengeStore::default());
    let router = web
        .router()
        .merge(wello_http::acme::router(Arc::clone(&challenges)))
        .merge(wello_http::posh::router(Arc::clone(&certificates)));
    // Such as a path that is too long for a socket: no reason to serve nobody.
    if let Err(error) = control::listen(&kernel, shutdown.clone()) {
        tracing::warn!("commands that change accounts do not reach this server: {error:#}");
    }
    let federation = Federation::open(&kernel, &acceptor, &certificates)?;
    let early = Early { bytestreams, relays };
    let mut addresses = listen(&kernel, &c2s, &router, &acceptor, early, &shutdown)?;
    addresses.extend(federation.listen(&kernel, &shutdown)?);
    let media = media::start(&kernel, media, &mut addresses, &shutdown)?;
    let chores = tokio::spawn(run_chores(Arc::clone(&kernel), shutdown.clone()));
    if kernel.config.acme.enabled {
        obtain_certificates(&kernel.config, &certificates, challenges, &shutdown)?;
    }
    tracing::info!(restored, "sessions wait for their clients");
    let (config, store) = (&kernel.config, &kernel.store);
    match invite::first_administrator(config, store, &kernel.accounts).await {
        Ok(Some(url)) => println!("invitation for the first administrator: {url}"),
        Ok(None) => {}
        Err(error) => tracing::warn!("no invitation for the first administrator: {error:#}"),
    }
    println!("ready {}", addresses.join(" "));
    std::io::stdout().flush()?;
    wait_for_signals(&kernel, &certificates, &c2s).await?;
    tracing::info!("shutting down");
    for service in kernel.hooks().services.values() {
        service.shut_down(&kernel).await;
    }
    shutdown.cancel();
    let drain = Duration::from_secs(kernel.config.sessions.drain_seconds);
    if tokio::time::timeout(drain, c2s.drained()).await.is_err() {
        tracing::warn!("some connections did not close in time");
    }
    // Other servers are told what the end of the sessions meant to them.
    federation.close(drain).await;
    // Media ends at once: its threads wait for nothing.
    for thread in media {
        let _ = tokio::task::spawn_blocking(|| thread.join()).await;
    }
    // A chore that is at work ends what it has begun in the store.
    let _ = chores.await;
    match c2s.save_sessions().await {
        Ok(saved) => tracing::info!(saved, "sessions wait for their clients"),
        Err(error) => tracing::error!(%error, "sessions not stored"),
    }
    kernel.store.close().await;
    Ok(())
}

/// Gives the features a client for HTTPS. Without authorities to trust nothing can be asked: no
/// reason to serve nobody.
fn install_outbound(kernel: &Kernel) -> anyhow::Result<()> {
    let push = &kernel.config.push;
    let mut roots = system_roots().unwrap_or_else(|error| {
        tracing::warn!("requests to push services will fail: {error}");
        RootCertStore::empty()
    });
    if let Some(file) = &push.root {
        roots.roots.extend(roots_from_file(file).context("push.root")?.roots);
    }
    let client = OutboundClient::new(roots, push.private_hosts.iter().cloned())?;
    kernel.outbound.install(Arc::new(client));
    Ok(())
}

async fn run_chores(kernel: Arc<Kernel>, shutdown: CancellationToken) {
    let stop = shutdown.cancelled();
    tokio::select! {
        () = stop => {}
        () = kernel.run_chores() => {}
    }
}

/// Opens the database that the configuration names, with its migrations done.
pub async fn open_store(config: &Config, metrics: Option<&Arc<Metrics>>) -> anyhow::Result<Store> {
    let mut options = Options { connections: config.storage.connections, ..Options::default() };
    if let Some(metrics) = metrics.cloned() {
        options.on_batch = Some(Arc::new(move |batch| {
            metrics.store_batch_seconds.observe(batch.latency.as_secs_f64());
            metrics.store_messages.inc_by(batch.messages as u64);
        }));
    }
    lock::create(&config.data_dir)?;
    let store = Store::open(&config.storage.url, &config.data_dir, &options).await;
    store.with_context(|| match Location::parse(&config.storage.url, &config.data_dir) {
        Ok(place) => format!("storage.url: {place}"),
        Err(_) => "storage.url".to_owned(),
    })
}

/// Those whose certificates name accounts (SASL EXTERNAL).
fn client_authorities(config: &Config) -> anyhow::Result<RootCertStore> {
    match &config.auth.client_ca {
        Some(file) => roots_from_file(file).context("auth.client_ca"),
        None => Ok(RootCertStore::empty()),
    }
}

fn open_certificates(config: &Config) -> anyhow::Result<CertificateStore> {
    let host = |domain: &str| {
        let files = config.host.iter().find(|host| host.domain == domain);
        let files = files.and_then(|host| Some((host.certificate.clone()?, host.key.clone()?)));
        HostTls {
            domain: domain.to_owned(),
            files: files.map(|(certificate, key)| CertificateFiles { certificate, key }),
            acme: config.acme.enabled,
        }
    };
    let options = TlsOptions {
        data_dir: config.data_dir.clone(),
        hosts: config.domains().into_iter().map(host).collect(),
        client_certificates: config.auth.mechanisms.iter().any(|name| name == "EXTERNAL"),
        tls12: config.tls.min_version == TlsVersion::Tls12,
    };
    CertificateStore::open(options, std::time::SystemTime::now()).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!(all.join("; "))
    })
}

/// Has the authority sign certificates for the hosts that have none of their own, and renews them.
fn obtain_certificates(
    config: &Config,
    certificates: &Arc<CertificateStore>,
    challenges: Arc<ChallengeStore>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let own = |domain: &str| {
        config.host.iter().any(|host| host.domain == domain && host.certificate.is_some())
    };
    let options = AcmeOptions {
        directory: config.acme.directory.clone(),
        contact: config.acme.contact.clone(),
        challenge: match config.acme.challenge {
            AcmeChallenge::Http01 => ChallengeKind::Http01,
            AcmeChallenge::TlsAlpn01 => ChallengeKind::TlsAlpn01,
        },
        root: config.acme.root.clone(),
        data_dir: config.data_dir.clone(),
        domains: config.domains().into_iter().filter(|d| !own(d)).map(str::to_owned).collect(),
    };
    let now = Arc::new(std::time::SystemTime::now);
    let manager = AcmeManager::new(options, Arc::clone(certificates), challenges, now)?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move { manager.run(shutdown.cancelled()).await });
    Ok(())
}

/// Binds the listeners for file transfers between clients, and leaves in the configuration those
/// that there are. Without their port there are no such transfers: no reason to serve nobody.
fn bind_bytestreams(config: &mut Config) -> Vec<Listener> {
    let bind = |address: &SocketAddr| {
        let bound = Listener::bind(*address, ListenOptions::default());
        let bound = bound.map_err(anyhow::Error::from);
        bound.and_then(|listener| Ok((listener.local_addr()?, listener))).inspect_err(|error| {
            tracing::warn!("listen.bytestreams: no file transfers by the proxy: {error:#}");
        })
    };
    let bound = config.listen.bytestreams.iter().map(bind).filter_map(Result::ok);
    let (addresses, listeners) = bound.unzip();
    config.listen.bytestreams = addresses;
    listeners
}

/// What is bound before the rest, since clients are told whether it is there.
struct Early {
    bytestreams: Vec<Listener>,
    relays: turn::Bound,
}

/// Binds every listener but those that are bound already, then accepts; returns the addresses.
fn listen(
    kernel: &Arc<Kernel>,
    c2s: &Arc<C2sServer>,
    router: &Router,
    acceptor: &TlsAcceptor,
    early: Early,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<String>> {
    let config = &kernel.config;
    let per_address = u32::try_from(config.limits.unauthenticated_per_address).unwrap_or(u32::MAX);
    let admission = Admission::new(config.limits.connections, per_address);
    let proxies = config.tls.proxy_protocol_from.iter().map(|network| {
        network.parse::<IpNetwork>().map_err(|_| anyhow!("{network:?} is not a network"))
    });
    let proxies = proxies.collect::<anyhow::Result<Vec<_>>>().context("tls.proxy_protocol_from")?;
    let options = ListenOptions { proxies, ..ListenOptions::default() };
    let mut addresses = Vec::new();
    let mut bind = |name: &str, address: SocketAddr| -> anyhow::Result<Listener> {
        let listener = Listener::bind(address, options.clone())?;
        addresses.push(format!("{name}={}", listener.local_addr()?));
        Ok(listener)
    };
    let run = |listener: Listener, serve: Box<dyn FnMut(Accepted) + Send>| {
        let (admission, shutdown) = (admission.clone(), shutdown.clone());
        tokio::spawn(async move {
            listener.run(admission, shutdown.cancelled(), serve).await;
        });
    };
    for address in &config.listen.c2s {
        let server = Arc::clone(c2s);
        run(bind("c2s", *address)?, Box::new(move |accepted| server.serve_tcp(accepted)));
    }
    for address in &config.listen.c2s_tls {
        let server = Arc::clone(c2s);
        let serve = Box::new(move |accepted| server.serve_direct_tls(accepted));
        run(bind("c2s_tls", *address)?, serve);
    }
    for address in &config.listen.https {
        let (router, acceptor) = (router.clone(), acceptor.clone());
        let serve = Box::new(move |accepted| {
            let served = serve_https(router.clone(), acceptor.clone(), accepted);
            tokio::spawn(served);
        });
        run(bind("https", *address)?, serve);
    }
    for address in &config.listen.http {
        let router = router.clone();
        let serve = Box::new(move |accepted| {
            tokio::spawn(serve_http(router.clone(), accepted));
        });
        run(bind("http", *address)?, serve);
    }
    for listener in early.bytestreams {
        addresses.push(format!("bytestreams={}", listener.local_addr()?));
        let kernel = Arc::clone(kernel);
        let serve = Box::new(move |accepted| {
            tokio::spawn(socks5::serve(kernel.bytestreams.clone(), accepted));
        });
        run(listener, serve);
    }
    let relays = early.relays;
    addresses.extend(relays.addresses().into_iter().map(|(name, at)| format!("{name}={at}")));
    let started = TurnServer::start(relays, kernel, acceptor.clone(), shutdown);
    let (server, listeners) = started.context("turn.allowed_peers")?;
    for listener in listeners.tcp {
        let server = server.clone();
        let serve = Box::new(move |accepted| {
            tokio::spawn(server.clone().serve_tcp(accepted));
        });
        run(listener, serve);
    }
    for listener in listeners.tls {
        let server = server.clone();
        let serve = Box::new(move |accepted| {
            tokio::spawn(server.clone().serve_tls(accepted));
        });
        run(listener, serve);
    }
    Ok(addresses)
}

/// How often certificates are read again without being told to: whoever renews them may not tell.
/// Accounts may have got keys meanwhile, too.
const RELOAD: Duration = Duration::from_secs(3600);

/// Returns when the server is to stop; reloads at SIGHUP and once an hour.
async fn wait_for_signals(
    kernel: &Arc<Kernel>,
    certificates: &Arc<CertificateStore>,
    c2s: &C2sServer,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(RELOAD) => reload(kernel, certificates, c2s).await,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => reload(kernel, certificates, c2s).await,
        }
    }
}

async fn reload(kernel: &Arc<Kernel>, certificates: &Arc<CertificateStore>, c2s: &C2sServer) {
    if let Err(error) = c2s.refresh().await {
        tracing::error!(%error, "what accounts can log in by is not known");
    }
    reload_blocklist(kernel).await;
    let certificates = Arc::clone(certificates);
    let now = std::time::SystemTime::now();
    // What is wrong with a host's certificate is logged where it is found.
    let reload = tokio::task::spawn_blocking(move || certificates.reload(now));
    match reload.await {
        Ok(errors) if errors.is_empty() => tracing::info!("certificates reloaded"),
        Ok(errors) => tracing::warn!(hosts = errors.len(), "certificates kept as they were"),
        Err(error) => tracing::error!(%error, "certificates not reloaded"),
    }
}

async fn reload_blocklist(kernel: &Arc<Kernel>) {
    let kernel = Arc::clone(kernel);
    match tokio::task::spawn_blocking(move || kernel.blocklist.reload()).await {
        Ok(Ok(())) => tracing::info!("block lists reloaded"),
        Ok(Err(error)) => tracing::error!(%error, "block lists kept as they were"),
        Err(error) => tracing::error!(%error, "block lists not reloaded"),
    }
}
