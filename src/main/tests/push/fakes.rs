//! The services that wake devices, as far as the server can tell them from the real ones: HTTPS
//! with HTTP/2, every request noted, answers as the test wants them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey as Peer, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// No request takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Fake {
    pub address: SocketAddr,
    /// To be trusted.
    pub certificate: String,
    requests: mpsc::Receiver<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

/// A request that came.
#[derive(Debug)]
pub struct Got {
    pub path: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Status, a header and a body.
type Answer = (u16, Option<(&'static str, String)>, String);

#[derive(Clone)]
struct Shared {
    requests: mpsc::Sender<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    tokens: Arc<AtomicUsize>,
}

impl Fake {
    pub async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (sender, requests) = mpsc::channel(100);
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let tokens = Arc::new(AtomicUsize::new(0));
        let shared = Shared { requests: sender, answers: Arc::clone(&answers), tokens };
        let router = axum::Router::new().fallback(take).with_state(shared);
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), router));
        Fake { address, certificate: cert.pem(), requests, answers }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// What the next request but those for tokens is answered with.
    pub fn will_answer(&self, status: u16, header: Option<(&'static str, &str)>, body: &str) {
        let header = header.map(|(name, value)| (name, value.to_owned()));
        self.answers.lock().push_back((status, header, body.to_owned()));
    }

    pub async fn next(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap()
    }

    /// For when whatever would have asked has had its answer.
    pub fn was_not_asked(&mut self) {
        if let Ok(got) = self.requests.try_recv() {
            panic!("{got:?}");
        }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, router: axum::Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let answer = if path == "/token" {
        let number = shared.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        let body = format!(r#"{{"access_token":"token{number}","expires_in":3599}}"#);
        (200, None, body)
    } else {
        shared.answers.lock().pop_front().unwrap_or((201, None, String::new()))
    };
    let body = to_bytes(body, 100_000).await.unwrap();
    let got = Got { path, version: parts.version, headers: parts.headers, body };
    shared.requests.send(got).await.unwrap();
    let (status, header, body) = answer;
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The header and claims of a JSON Web Token whose signature is good.
pub fn verified(
    token: &str,
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
) -> (Value, Value) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let key = UnparsedPublicKey::new(algorithm, key);
    key.verify(message.as_bytes(), &decode(signature)).expect("a good signature");
    let (header, claims) = message.split_once('.').unwrap();
    let parse = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (parse(header), parse(claims))
}

pub fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A browser that has subscribed.
pub struct Browser {
    key: PrivateKey,
    pub auth: [u8; 16],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]], length: usize) -> Vec<u8> {
    let mut key = vec![0; length];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted.expand(info, Length(length)).unwrap().fill(&mut key).unwrap();
    key
}

impl Browser {
    pub fn new() -> Browser {
        Browser { key: PrivateKey::generate(&ECDH_P256).unwrap(), auth: *b"sixteen  octets!" }
    }

    pub fn public_key(&self) -> Vec<u8> {
        self.key.compute_public_key().unwrap().as_ref().to_vec()
    }

    /// RFC 8291, section 4, and RFC 8188.
    pub fn decrypt(&self, body: &[u8]) -> Value {
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert!(u32::from_be_bytes(size.try_into().unwrap()) as usize >= rest.len());
        assert_eq!(rest[0], 65);
        let (sender, record) = rest[1..].split_at(65);
        let peer = Peer::new(&ECDH_P256, sender);
        let shared = agree(&self.key, peer, (), |secret| Ok(secret.to_vec())).unwrap();
        let info: [&[u8]; 3] = [b"WebPush: info\0", &self.public_key(), sender];
        let secret = derive(&self.auth, &shared, &info, 32);
        let key = derive(salt, &secret, &[b"Content-Encoding: aes128gcm\0"], 16);
        let nonce = derive(salt, &secret, &[b"Content-Encoding: nonce\0"], 12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let mut text = record.to_vec();
        let text = key.open_in_place(nonce, Aad::empty(), &mut text).unwrap();
        let (last, text) = text.split_last().unwrap();
        assert_eq!(*last, 2);
        serde_json::from_slice(text).unwrap()
    }
}
