//! The whole of it over real sockets: HTTPS to the authority, and its way back to our listeners.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use instant_acme::HttpClient;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor as RawAcceptor;

use super::fake::{FakeAcme, Reply, Validation};
use super::http_client::AuthorityClient;
use super::testing::check_tls_alpn;
use super::*;
use crate::admission::Admission;
use crate::listener::{ListenOptions, Listener};
use crate::tls::testing::{TestCa, leaf, options as tls_options};
use crate::tls::{CertificateOrigin, CertificateStore, ListenerKind, TlsAcceptor, crypto_provider};

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    (listener, url)
}

/// Serves HTTPS with a certificate of the authority that is returned.
fn serve_https<F>(listener: TcpListener, handler: F) -> TestCa
where
    F: Fn(Request<Incoming>) -> BoxFuture<'static, Reply> + Clone + Send + Sync + 'static,
{
    let ca = TestCa::new();
    let issued = ca.issue(&leaf(&["localhost"]));
    let config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain, issued.key)
        .unwrap();
    let acceptor = RawAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, handler) = (acceptor.clone(), handler.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| {
                    let reply = handler(request);
                    async move { Ok::<_, Infallible>(reply.await.into_http().map(Full::new)) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    ca
}

/// What an HTTP listener does with a challenge store.
async fn serve_http_challenges(challenges: Arc<ChallengeStore>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let challenges = Arc::clone(&challenges);
            let service = service_fn(move |request: Request<Incoming>| {
                let path = request.uri().path().to_owned();
                let token = path.strip_prefix("/.well-known/acme-challenge/");
                let body = token.and_then(|token| challenges.lookup(token)).unwrap_or_default();
                let body = Full::new(Bytes::from(body));
                async move { Ok::<_, Infallible>(Response::new(body)) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    address
}

/// A listener of ours; returns when the runtime does.
fn serve_tls(store: Arc<CertificateStore>) -> SocketAddr {
    let listener =
        Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::new(store, Duration::from_secs(10));
    tokio::spawn(listener.run(Admission::new(100, 100), std::future::pending(), move |accepted| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = acceptor.accept(accepted.stream, ListenerKind::Https).await;
        });
    }));
    address
}

async fn validate(http: SocketAddr, tls: SocketAddr, validation: Validation) -> Result<(), String> {
    if validation.kind == "tls-alpn-01" {
        return check_tls_alpn(TcpStream::connect(tls).await.unwrap(), &validation).await;
    }
    let mut stream = TcpStream::connect(http).await.unwrap();
    let request = format!(
        "GET /.well-known/acme-challenge/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        validation.token, validation.domain
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let right = response.ends_with(&format!("\r\n\r\n{}", validation.key_authorization));
    if right { Ok(()) } else { Err(response) }
}

#[tokio::test]
async fn over_the_network() {
    for challenge in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = tls_options(dir.path(), &["example.test"]);
        options.hosts[0].acme = true;
        let store = Arc::new(CertificateStore::open(options, SystemTime::now()).unwrap());
        let challenges = Arc::new(ChallengeStore::default());
        let http = serve_http_challenges(Arc::clone(&challenges)).await;
        let tls = serve_tls(Arc::clone(&store));

        let (listener, url) = bind().await;
        let validate: super::fake::Validate =
            Box::new(move |validation| Box::pin(validate(http, tls, validation)));
        let fake = Arc::new(FakeAcme::new(&url, Arc::new(SystemTime::now), validate));
        let served = Arc::clone(&fake);
        let ca = serve_https(listener, move |request| {
            let fake = Arc::clone(&served);
            Box::pin(async move { forward(&fake, request).await })
        });

        let root = dir.path().join("root.pem");
        fs::write(&root, ca.issuer().pem()).unwrap();
        let options = AcmeOptions {
            directory: fake.directory(),
            contact: Vec::new(),
            challenge,
            root: Some(root),
            data_dir: dir.path().to_owned(),
            domains: vec!["example.test".to_owned()],
        };
        let now: Now = Arc::new(SystemTime::now);
        let manager = AcmeManager::new(options, Arc::clone(&store), challenges, now).unwrap();
        let obtained = async {
            while store.lookup(None).origin() != CertificateOrigin::Acme {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let finished = timeout(Duration::from_secs(60), manager.run(obtained)).await;
        assert!(finished.is_ok(), "{challenge}: {:?}", fake.refusals());
    }
}

async fn forward(fake: &FakeAcme, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let host = parts.headers["host"].to_str().unwrap();
    let url = format!("https://{host}{}", parts.uri);
    let body = body.collect().await.unwrap().to_bytes();
    fake.handle(&parts.method, &url, content_type, &body).await
}

fn get(url: &str) -> http::Request<instant_acme::BodyWrapper<Bytes>> {
    http::Request::get(url).body(instant_acme::BodyWrapper::default()).unwrap()
}

#[tokio::test]
async fn client_wants_a_trusted_authority_and_a_short_answer() {
    let (listener, url) = bind().await;
    let ca = serve_https(listener, |request: Request<Incoming>| {
        let length = if request.uri().path() == "/long" { 300_000 } else { 1_000 };
        Box::pin(async move { Reply::new(http::StatusCode::OK, vec![b' '; length]) })
    });
    let client = AuthorityClient::new(ca.roots()).unwrap();
    let reply = client.request(get(&format!("{url}/short"))).await.unwrap();
    assert_eq!(reply.parts.status, http::StatusCode::OK);
    assert!(client.request(get(&format!("{url}/long"))).await.is_err());
    let plain = format!("{}/short", url.replace("https", "http"));
    assert!(client.request(get(&plain)).await.is_err());
    let stranger = AuthorityClient::new(TestCa::new().roots()).unwrap();
    assert!(stranger.request(get(&format!("{url}/short"))).await.is_err());
}
