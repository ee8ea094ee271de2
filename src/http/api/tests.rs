//! The routes on a real database.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::metrics::Metrics;
use wello_kernel::module::Module;
use wello_net::c2s::C2sServer;
use wello_net::tls::{CertificateStore, HostTls, TlsAcceptor, TlsOptions};
use wello_store::{Options, Role, Store, Timestamp};

use super::rate;
use crate::Web;

pub(crate) struct Server {
    pub(crate) web: Web,
    pub(crate) dir: TempDir,
}

impl Server {
    async fn start() -> Server {
        Server::with("").await
    }

    /// `more` is appended to the configuration.
    pub(crate) async fn with(more: &str) -> Server {
        Server::with_modules(more, |_| Vec::new()).await
    }

    pub(crate) async fn with_modules(
        more: &str,
        modules: fn(&Config) -> Vec<Arc<dyn Module>>,
    ) -> Server {
        let dir = TempDir::new().unwrap();
        let text = format!(
            "hosts = ['wello.example']\ndata_dir = {:?}\n[auth]\nscram_iterations = 4096\n\
             [http]\nbody_bytes = 1000\n{more}",
            dir.path()
        );
        let config = Config::parse(&text, []).unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let (metrics, modules) = (Arc::new(Metrics::default()), modules(&config));
        let kernel = Kernel::with_clock(config, store, metrics, modules, clock).await.unwrap();
        let jid = "user@wello.example".parse().unwrap();
        kernel.accounts.create(&jid, "correct horse", Role::User).await.unwrap();
        let name = Some("Ada Lovelace");
        let email = Some("ada@mail.example");
        kernel.store.accounts.set_profile(jid.as_str(), name, email).await.unwrap();
        let host = HostTls { domain: "wello.example".into(), files: None, acme: false };
        let options = TlsOptions {
            data_dir: dir.path().into(),
            hosts: vec![host],
            client_certificates: false,
            tls12: false,
        };
        #[allow(clippy::disallowed_methods)] // Certificates are made for the real time.
        let now = std::time::SystemTime::now();
        let certificates = Arc::new(CertificateStore::open(options, now).unwrap());
        let acceptor = TlsAcceptor::new(certificates, Duration::from_secs(1));
        let c2s = C2sServer::new(
            Arc::clone(&kernel),
            acceptor,
            RootCertStore::empty(),
            Default::default(),
        )
        .await;
        Server { web: Web::new(kernel, c2s.unwrap()).unwrap(), dir }
    }

    async fn raw(&self, path: &str, body: String, bearer: Option<&str>) -> Response {
        let request = Request::post(format!("/api/v1/auth/{path}"));
        let request = match bearer {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        self.web.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        parse(self.raw(path, body.to_string(), None).await).await
    }

    pub(crate) async fn get(&self, path: &str, bearer: &str) -> (StatusCode, Value) {
        let request = Request::get(format!("/api/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {bearer}"));
        let request = request.body(Body::empty()).unwrap();
        parse(self.web.router().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn login(&self, name: &str) -> Value {
        let wish = json!({ "email": name, "password": "correct horse" });
        let (status, answer) = self.post("login", wish).await;
        assert_eq!(status, StatusCode::OK);
        answer["data"].clone()
    }
}

pub(crate) async fn parse(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn one_logs_in_by_address_or_jid() {
    let server = Server::start().await;
    for name in ["ada@mail.example", "user@wello.example", "user"] {
        let data = server.login(name).await;
        assert!(data["token"].is_string() && data["refreshToken"].is_string());
        let user = &data["user"];
        assert_eq!(user["email"], "ada@mail.example");
        assert_eq!(user["firstName"], "Ada");
        assert_eq!(user["lastName"], "Lovelace");
        assert_eq!(user["status"], "active");
        assert_eq!(user["createdAt"], "2027-01-15T08:00:00Z");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_the_same() {
    let server = Server::start().await;
    let wrong = json!({ "email": "user@wello.example", "password": "x" });
    let unknown = json!({ "email": "nobody@wello.example", "password": "x" });
    let (status, answer) = server.post("login", wrong).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["success"], false);
    assert_eq!((status, answer), server.post("login", unknown).await);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use() {
    let server = Server::start().await;
    let first = server.login("user").await["refreshToken"].clone();
    let (status, answer) = server.post("refresh", json!({ "refreshToken": first })).await;
    assert_eq!(status, StatusCode::OK);
    let second = answer["data"]["refreshToken"].clone();
    let (status, _) = server.post("refresh", json!({ "token": first })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    // The reuse has ended the whole grant.
    let (status, _) = server.post("refresh", json!({ "token": second })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logging_out_ends_the_grant() {
    let server = Server::start().await;
    let data = server.login("user").await;
    let token = data["token"].as_str().unwrap();
    let (status, answer) = parse(server.raw("logout", String::new(), Some(token)).await).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer, json!({ "success": true, "message": "Logged out successfully" }));
    let (status, _) = server.post("refresh", json!({ "token": token })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = server.post("logout", json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn requests_are_bounded_in_size_and_number() {
    let server = Server::start().await;
    let large = server.raw("login", "x".repeat(1001), None).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.headers()["x-content-type-options"], "nosniff");
    assert_eq!(large.headers()["ratelimit-remaining"], (rate::MAX - 1).to_string().as_str());
    for _ in 1..rate::MAX {
        let bad = server.raw("login", "nonsense".into(), None).await;
        assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    }
    let refused = server.raw("login", "nonsense".into(), None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_form_of_an_invitation_is_counted_too() {
    let server = Server::start().await;
    let inviter = "user@wello.example".parse().unwrap();
    let invite = server.web.kernel.accounts.invite_contact(&inviter).await.unwrap();
    let post = async || {
        let request = Request::post(format!("/invite/{}", invite.token));
        let request = request.body(Body::empty()).unwrap();
        server.web.router().oneshot(request).await.unwrap().status()
    };
    // The connection of this test is not an encrypted one.
    for _ in 0..rate::MAX {
        assert_eq!(post().await, StatusCode::FORBIDDEN);
    }
    assert_eq!(post().await, StatusCode::TOO_MANY_REQUESTS);
}

/// One second of silence, one of a tone.
const RECORDING: &[u8] = include_bytes!("../../modules/ptt/fixtures/voice.ogg");

async fn send_clip(
    server: &Server,
    to: &str,
    token: &str,
    body: &'static [u8],
) -> (StatusCode, Value) {
    let request = Request::post(format!("/api/v1/ptt/clips?to={to}"));
    let request = request.header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::from(body)).unwrap();
    parse(server.web.router().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn a_clip_is_sent_and_can_be_fetched() {
    let server = Server::start().await;
    let token = server.login("user").await["token"].as_str().unwrap().to_owned();
    let (status, answer) = send_clip(&server, "user@wello.example", &token, RECORDING).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let data = &answer["data"];
    assert_eq!(data["name"], "ptt-20270115-080000.m4a");
    assert_eq!(data["mediaType"], "audio/mp4");
    assert!((1990..2100).contains(&data["duration"].as_u64().unwrap()), "{data}");
    let path = data["url"].as_str().unwrap().strip_prefix("https://wello.example:5443").unwrap();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let file = server.web.router().oneshot(request).await.unwrap();
    assert_eq!(file.headers()["content-type"], "audio/mp4");
    let file = to_bytes(file.into_body(), 100_000).await.unwrap();
    assert_eq!(file.len() as u64, data["size"].as_u64().unwrap());
    assert_eq!(&file[4..11], b"ftypM4A");
}

#[tokio::test]
async fn a_clip_that_cannot_be_sent_is_refused() {
    let server = Server::with("[ptt]\nclip_bytes = 4000\nclip_seconds = 2").await;
    let token = server.login("user").await["token"].as_str().unwrap().to_owned();
    let large: &[u8] = &[0; 4001];
    let own = "user@wello.example";
    for (to, token, body, expected, code) in [
        (own, "nonsense", RECORDING, StatusCode::UNAUTHORIZED, "invalid_token"),
        ("@", &*token, RECORDING, StatusCode::BAD_REQUEST, "bad_request"),
        ("nobody@wello.example", &token, RECORDING, StatusCode::NOT_FOUND, "not_found"),
        (own, &token, large, StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        (own, &token, b"no", StatusCode::UNPROCESSABLE_ENTITY, "bad_recording"),
        (own, &token, RECORDING, StatusCode::UNPROCESSABLE_ENTITY, "too_long"),
    ] {
        let (status, answer) = send_clip(&server, to, token, body).await;
        assert_eq!((status, answer["error"]["code"].as_str()), (expected, Some(code)), "{to}");
    }
}
