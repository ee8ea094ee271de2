//! UnifiedPush: from a POST to the client on the device.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tower::ServiceExt as _;
use wello_kernel::sessions::Session;
use wello_wire::stanza::Stanza;

use crate::fakes::Fake;
use crate::server::{Server, next};

const NS: &str = "http://gultsch.de/xmpp/drafts/unified-push";
const DAY: i64 = 24 * 3600 * 1_000_000;

/// The path of the endpoint of an app.
async fn register(server: &Server, session: &Arc<Session>, app: u8) -> String {
    let hash = |byte: u8| BASE64_STANDARD.encode([byte; 32]);
    let (application, instance) = (hash(app), hash(1));
    let register =
        format!("<register xmlns='{NS}' application='{application}' instance='{instance}'/>");
    let answer = server.ask(session, "push.wello.example", &register).await;
    let registered = answer.child("registered", NS).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(registered.attr("expiration"), Some("2027-01-16T08:00:00Z"));
    let endpoint = registered.attr("endpoint").unwrap();
    endpoint.strip_prefix("https://wello.example:5443").unwrap().to_owned()
}

async fn post(router: &Router, path: &str, body: Vec<u8>) -> Response {
    let request = Request::post(path).body(Body::from(body)).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn status(router: &Router, path: &str, body: Vec<u8>) -> StatusCode {
    post(router, path, body).await.status()
}

/// What the client gets while its app's server posts, and the status that this one gets.
async fn push(
    server: &Server,
    router: &Router,
    session: &Arc<Session>,
    path: &str,
    answer: impl FnOnce(&Stanza) -> String,
) -> (Stanza, StatusCode) {
    let client = async {
        let got = next(session).await;
        server.say(session, &answer(&got)).await;
        got
    };
    tokio::join!(client, status(router, path, b"\x00 octets \xff".to_vec()))
}

fn iq(got: &Stanza, type_: &str, children: &str) -> String {
    let id = got.id.as_deref().unwrap();
    format!(
        "<iq xmlns='jabber:client' type='{type_}' id='{id}' to='push.wello.example'>{children}</iq>"
    )
}

fn error(got: &Stanza, condition: &str) -> String {
    let ns = "urn:ietf:params:xml:ns:xmpp-stanzas";
    iq(got, "error", &format!("<error type='cancel'><{condition} xmlns='{ns}'/></error>"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_reaches_the_app() {
    let fake = Fake::start().await;
    let server = Server::start(tempfile::tempdir().unwrap(), &fake, &[], "").await;
    let router = server.web().await.router();
    let phone = server.session("romeo", "phone").await;
    let path = register(&server, &phone, 1).await;
    assert_eq!(register(&server, &phone, 1).await, path);
    assert_ne!(register(&server, &phone, 2).await, path);

    let look = Request::get(&path).body(Body::empty()).unwrap();
    let look = router.clone().oneshot(look).await.unwrap();
    let about = to_bytes(look.into_body(), 1000).await.unwrap();
    assert_eq!(&about[..], br#"{"unifiedpush":{"version":1}}"#);

    let (got, status_) = push(&server, &router, &phone, &path, |got| iq(got, "result", "")).await;
    assert_eq!(status_, StatusCode::CREATED);
    assert_eq!(got.from.as_ref().unwrap().as_str(), "push.wello.example");
    let payload = got.child("push", NS).unwrap();
    assert_eq!(payload.attr("application"), Some(BASE64_STANDARD.encode([1; 32]).as_str()));
    assert_eq!(BASE64_STANDARD.decode(payload.text().as_bytes()).unwrap(), b"\x00 octets \xff");

    assert_eq!(status(&router, &path, vec![0; 4097]).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status(&router, &path, Vec::new()).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(&router, "/push/unknown", vec![0]).await, StatusCode::NOT_FOUND);
    let (_, status_) =
        push(&server, &router, &phone, &path, |got| error(got, "service-unavailable")).await;
    assert_eq!(status_, StatusCode::SERVICE_UNAVAILABLE);
    // The app is gone, and with it its address.
    let (_, status_) =
        push(&server, &router, &phone, &path, |got| error(got, "item-not-found")).await;
    assert_eq!(status_, StatusCode::NOT_FOUND);
    assert_eq!(status(&router, &path, vec![0]).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_end_and_devices_are_away() {
    let fake = Fake::start().await;
    let server = Server::start(tempfile::tempdir().unwrap(), &fake, &[], "").await;
    let router = server.web().await.router();
    let phone = server.session("romeo", "phone").await;
    let path = register(&server, &phone, 1).await;
    phone.set_hibernating(true);
    let away = post(&router, &path, vec![0]).await;
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.headers()["retry-after"], "60");
    server.clock.advance(DAY);
    assert_eq!(status(&router, &path, vec![0]).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hash_is_refused() {
    let fake = Fake::start().await;
    let server = Server::start(tempfile::tempdir().unwrap(), &fake, &[], "").await;
    let phone = server.session("romeo", "phone").await;
    let register = format!("<register xmlns='{NS}' application='x' instance='x'/>");
    assert!(server.ask(&phone, "push.wello.example", &register).await.is_error());
}
