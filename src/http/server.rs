//! HTTP listeners with and without TLS, and who the client behind a request is.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;
use tower::util::MapRequest;
use wello_net::admission::ConnectionPermit;
use wello_net::c2s::bindings;
use wello_net::listener::Accepted;
use wello_net::tls::{ListenerKind, TlsAcceptor};
use wello_stream::sasl::ChannelBindings;

use crate::Web;

/// Request heads larger than this are refused.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The connection that a request came on.
#[derive(Clone)]
pub struct Connection {
    pub address: IpAddr,
    pub secure: bool,
    pub bindings: Arc<ChannelBindings>,
    /// What counts it.
    pub permit: Weak<ConnectionPermit>,
}

/// Who sent a request, seen through trusted proxies.
#[derive(Clone)]
pub struct Client {
    pub address: IpAddr,
    /// Confidential all the way to the client.
    pub secure: bool,
    pub bindings: Arc<ChannelBindings>,
    /// What counts the connection that the request came on.
    pub permit: Weak<ConnectionPermit>,
}

impl FromRequestParts<Web> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Client, Infallible> {
        // Every request is served with the connection it came on.
        let connection = parts.extensions.get::<Connection>().cloned();
        let connection = connection.unwrap_or(Connection {
            address: IpAddr::from([0, 0, 0, 0]),
            secure: false,
            bindings: Arc::default(),
            permit: Weak::new(),
        });
        let trusted = |address: &IpAddr| web.trusted_proxies.iter().any(|n| n.contains(*address));
        if !trusted(&connection.address) {
            let Connection { address, secure, bindings, permit } = connection;
            return Ok(Client { address, secure, bindings, permit });
        }
        let header = |name: &str| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        // The last address that no proxy of ours claimed is the first that can be believed.
        let forwarded = header("x-forwarded-for").unwrap_or_default();
        let claimed = forwarded.rsplit(',').filter_map(|address| address.trim().parse().ok());
        let address = claimed.into_iter().find(|address| !trusted(address));
        Ok(Client {
            address: address.unwrap_or(connection.address),
            // A proxy on a trusted address is how plain HTTP is meant to be used.
            secure: true,
            bindings: match address {
                // The channel to the client ends at the proxy.
                Some(_) => Arc::default(),
                None => connection.bindings,
            },
            permit: connection.permit,
        })
    }
}

/// Serves one connection of an HTTPS listener.
pub async fn serve_https(router: Router, acceptor: TlsAcceptor, accepted: Accepted) {
    let Accepted { stream, peer, permit, .. } = accepted;
    let permit = Arc::new(permit);
    match acceptor.accept(stream, ListenerKind::Https).await {
        Ok(Some((stream, info))) => {
            let bindings = Arc::new(bindings(&info));
            let permit = Arc::downgrade(&permit);
            let connection = Connection { address: peer.ip(), secure: true, bindings, permit };
            serve(router, stream, connection).await;
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%peer, %error, "handshake failed"),
    }
    drop(permit);
}

/// Serves one connection of a plain HTTP listener.
pub async fn serve_http(router: Router, accepted: Accepted) {
    let Accepted { stream, peer, permit, .. } = accepted;
    let permit = Arc::new(permit);
    let connection = Connection {
        address: peer.ip(),
        secure: false,
        bindings: Arc::default(),
        permit: Arc::downgrade(&permit),
    };
    serve(router, stream, connection).await;
    drop(permit);
}

async fn serve(
    router: Router,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
) {
    let service: MapRequest<_, _> = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(MAX_HEAD_BYTES as u32);
    let service = TowerToHyperService::new(service);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(io), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
