//! Everything that is reached by HTTP: WebSocket, BOSH, discovery, health, metrics, the API.

pub mod acme;
mod api;
mod bosh;
mod health;
mod home;
mod host_meta;
mod invite;
mod page;
pub mod posh;
mod push;
pub mod server;
mod upload;
mod web_client;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use wello_kernel::Kernel;
use wello_modules::push::app_server::Flights;
use wello_net::c2s::C2sServer;
use wello_net::ip_network::IpNetwork;

/// What every request handler may use.
#[derive(Clone)]
pub struct Web(Arc<WebState>);

pub struct WebState {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) c2s: Arc<C2sServer>,
    pub(crate) rates: api::Rates,
    pub(crate) pushes: Flights,
    pub(crate) bosh: bosh::BoshSessions,
    pub(crate) trusted_proxies: Vec<IpNetwork>,
    pub(crate) metrics_from: Vec<IpNetwork>,
}

impl std::ops::Deref for Web {
    type Target = WebState;

    fn deref(&self) -> &WebState {
        &self.0
    }
}

impl Web {
    /// Fails on a network of the configuration that is none.
    pub fn new(kernel: Arc<Kernel>, c2s: Arc<C2sServer>) -> Result<Web, String> {
        let networks = |key: &str, list: &[String]| {
            let parse = |text: &String| {
                text.parse::<IpNetwork>().map_err(|_| format!("http.{key}: {text:?} is no network"))
            };
            list.iter().map(parse).collect::<Result<Vec<_>, _>>()
        };
        let http = &kernel.config.http;
        Ok(Web(Arc::new(WebState {
            trusted_proxies: networks("trusted_proxies", &http.trusted_proxies)?,
            metrics_from: networks("metrics_from", &http.metrics_from)?,
            rates: api::Rates::default(),
            pushes: Flights::default(),
            bosh: bosh::BoshSessions::default(),
            kernel,
            c2s,
        })))
    }

    /// All paths.
    pub fn router(&self) -> Router {
        web_client::PAGES
            .iter()
            .fold(Router::new(), |router, page| router.route(page, get(web_client::index)))
            .route("/assets/{*name}", get(web_client::asset))
            .route("/icon.svg", get(web_client::icon))
            .route("/manifest.webmanifest", get(web_client::manifest))
            .route("/about", get(home::home))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .route("/.well-known/host-meta", get(host_meta::xml))
            .route("/.well-known/host-meta.json", get(host_meta::json))
            .route("/style.css", get(page::style))
            .route("/invite/{token}", invite::route())
            .route("/xmpp-websocket", get(websocket::upgrade))
            .route("/http-bind", post(bosh::post))
            .route("/push/{token}", push::route())
            .route("/upload/{token}/{name}", upload::route())
            .nest("/api/v1", api::routes(self))
            .layer(self.cors())
            .with_state(self.clone())
    }

    /// XEP-0156, section 3: browsers of other sites must be able to read host-meta.
    fn cors(&self) -> CorsLayer {
        let origins = &self.kernel.config.http.cors_origins;
        let allowed = if origins.iter().any(|origin| origin == "*") {
            AllowOrigin::from(Any)
        } else {
            AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
        };
        let methods =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let layer = CorsLayer::new().allow_origin(allowed).allow_methods(methods);
        // Not "*": that does not cover Authorization (Fetch standard, section 3.2.3).
        layer.allow_headers(AllowHeaders::mirror_request()).expose_headers(upload::EXPOSED)
    }
}
