//! HTTP to the authority, with limits.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::tls::crypto_provider;

use super::error::AcmeError;

/// Authorities are slow at times, but not that slow.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Chains have some 8 KiB, directories and problems less.
const MAX_BODY: usize = 256 * 1024;

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>>;

/// A client for https URLs alone (RFC 8555 §6.1).
pub(super) struct AuthorityClient(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl AuthorityClient {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, AcmeError> {
        let tls = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        // Requests come in bursts, months apart: keep no connection.
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self(client))
    }
}

impl HttpClient for AuthorityClient {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let response = self.0.request(request);
        let bounded = async move {
            let (parts, body) = response.await.map_err(other)?.into_parts();
            let body =
                Limited::new(body, MAX_BODY).collect().await.map_err(instant_acme::Error::Other)?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        };
        Box::pin(async move { timeout(REQUEST_TIMEOUT, bounded).await.map_err(other)? })
    }
}

/// One connection pool for all that need it.
#[derive(Clone)]
pub(super) struct SharedClient(pub(super) Arc<dyn HttpClient>);

impl HttpClient for SharedClient {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        self.0.request(request)
    }
}

/// With its causes, because the topmost error says as little as "client error (Connect)".
fn other(error: impl Error) -> instant_acme::Error {
    let mut text = format!("asking the authority: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    instant_acme::Error::Other(text.into())
}
