//! The routes on a real database and a real folder.

use axum::body::{Bytes, to_bytes};
use axum::http::{Request, header};
use futures_util::stream;
use tower::ServiceExt as _;
use wello_kernel::files::{Files, Wish};
use wello_store::{Timestamp, UploadPurpose};

use super::*;
use crate::api::tests::Server;

const TEN: &[u8] = b"0123456789";

async fn slot(server: &Server, name: &str, media_type: Option<&str>, size: u64) -> Upload {
    let account = "user@wello.example".parse().unwrap();
    let wish = Wish {
        account: &account,
        name,
        media_type: media_type.map(str::to_owned),
        size,
        purpose: UploadPurpose::Ephemeral,
        gone_by: Some(Timestamp::from_secs(1_800_000_000 + 600)),
    };
    server.web.kernel.files.reserve(wish).await.unwrap()
}

async fn send(server: &Server, request: Request<Body>) -> Response {
    let response = server.web.router().oneshot(request).await.unwrap();
    let header = |name: HeaderName| response.headers().get(name).cloned();
    if response.status() != StatusCode::OK || header(header::ALLOW).is_none() {
        assert_eq!(header(CONTENT_SECURITY_POLICY).unwrap(), POLICY);
        assert_eq!(header(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
    }
    response
}

async fn put(server: &Server, path: &str, media_type: &str, body: &'static [u8]) -> StatusCode {
    let request = Request::put(path).header(CONTENT_LENGTH, body.len());
    let request = request.header(CONTENT_TYPE, media_type).body(Body::from(body)).unwrap();
    send(server, request).await.status()
}

/// Uploads ten bytes; returns the path.
async fn uploaded(server: &Server, name: &str, media_type: &str) -> String {
    let path = Files::path(&slot(server, name, Some(media_type), 10).await);
    assert_eq!(put(server, &path, media_type, TEN).await, StatusCode::CREATED);
    path
}

async fn get(server: &Server, path: &str, headers: &[(HeaderName, &str)]) -> (Response, Vec<u8>) {
    ask(server, Request::get(path), headers).await
}

async fn ask(
    server: &Server,
    mut request: axum::http::request::Builder,
    headers: &[(HeaderName, &str)],
) -> (Response, Vec<u8>) {
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = send(server, request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1000).await.unwrap().to_vec();
    (Response::from_parts(parts, Body::empty()), bytes)
}

#[tokio::test]
async fn what_is_uploaded_is_served() {
    let server = Server::with("").await;
    let path = uploaded(&server, "très cool.png", "image/png").await;
    assert!(path.ends_with("/tr%C3%A8s%20cool.png"));
    let (response, body) = get(&server, &path, &[]).await;
    assert_eq!((response.status(), &body[..]), (StatusCode::OK, TEN));
    let headers = response.headers();
    assert_eq!(headers[CONTENT_TYPE], "image/png");
    assert_eq!(headers[CONTENT_LENGTH], "10");
    assert_eq!(headers[ACCEPT_RANGES], "bytes");
    assert_eq!(headers[CACHE_CONTROL], "max-age=600, immutable");
    assert!(headers[CONTENT_DISPOSITION].to_str().unwrap().starts_with("inline; "));

    let (head, body) = ask(&server, Request::head(&path), &[(RANGE, "bytes=1-2")]).await;
    assert_eq!((head.status(), body.len()), (StatusCode::OK, 0));
    for name in [CONTENT_TYPE, CONTENT_LENGTH, ETAG, CONTENT_DISPOSITION, ACCEPT_RANGES] {
        assert_eq!(head.headers()[&name], headers[&name], "{name}");
    }
    for wrong in [format!("{path}x"), "/upload/nobody/a.png".to_owned()] {
        assert_eq!(get(&server, &wrong, &[]).await.0.status(), StatusCode::NOT_FOUND);
    }
    server.web.kernel.clock.advance(600_000_000);
    assert_eq!(get(&server, &path, &[]).await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_browsers_run_is_stored_instead() {
    let server = Server::with("").await;
    for (name, media_type) in [("a.html", "text/html"), ("a.svg", "image/svg+xml")] {
        let path = uploaded(&server, name, media_type).await;
        let (response, _) = get(&server, &path, &[]).await;
        let disposition = response.headers()[CONTENT_DISPOSITION].to_str().unwrap();
        assert!(disposition.starts_with("attachment; "), "{disposition}");
    }
}

#[tokio::test]
async fn parts_are_served_so_that_a_download_can_go_on() {
    let server = Server::with("").await;
    let path = uploaded(&server, "a.txt", "text/plain").await;
    let (response, body) = get(&server, &path, &[(RANGE, "bytes=4-")]).await;
    assert_eq!((response.status(), &body[..]), (StatusCode::PARTIAL_CONTENT, &TEN[4..]));
    assert_eq!(response.headers()[CONTENT_RANGE], "bytes 4-9/10");
    assert_eq!(response.headers()[CONTENT_LENGTH], "6");
    let etag = response.headers()[ETAG].to_str().unwrap().to_owned();
    let (response, body) = get(&server, &path, &[(RANGE, "bytes=0-0"), (IF_RANGE, &etag)]).await;
    assert_eq!((response.status(), &body[..]), (StatusCode::PARTIAL_CONTENT, &TEN[..1]));
    let (response, body) =
        get(&server, &path, &[(RANGE, "bytes=0-0"), (IF_RANGE, "\"other\"")]).await;
    assert_eq!((response.status(), &body[..]), (StatusCode::OK, TEN));
    let (response, body) = get(&server, &path, &[(RANGE, "bytes=10-")]).await;
    assert_eq!((response.status(), body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
    assert_eq!(response.headers()[CONTENT_RANGE], "bytes */10");

    let (response, body) = get(&server, &path, &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!((response.status(), body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(response.headers()[ETAG], etag.as_str());
    let (response, _) = get(&server, &path, &[(IF_MATCH, "\"other\"")]).await;
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_slot_is_bound_to_size_type_and_name_and_used_once() {
    let server = Server::with("").await;
    let path = Files::path(&slot(&server, "a.png", Some("image/png"), 10).await);
    for (path, media_type, body, expected) in [
        (format!("{path}x"), "image/png", TEN, StatusCode::NOT_FOUND),
        ("/upload/nobody/a.png".to_owned(), "image/png", TEN, StatusCode::NOT_FOUND),
        (path.clone(), "text/html", TEN, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (path.clone(), "image/png", &TEN[1..], StatusCode::PAYLOAD_TOO_LARGE),
        (path.clone(), "image/png", b"0123456789x", StatusCode::PAYLOAD_TOO_LARGE),
        (path.clone(), "Image/PNG; q=1", TEN, StatusCode::CREATED),
        (path.clone(), "image/png", TEN, StatusCode::CONFLICT),
    ] {
        assert_eq!(put(&server, &path, media_type, body).await, expected, "{path} {media_type}");
    }
    let no_length = Request::put(&path).body(Body::from(TEN)).unwrap();
    assert_eq!(send(&server, no_length).await.status(), StatusCode::LENGTH_REQUIRED);
    let late = Files::path(&slot(&server, "b.png", None, 10).await);
    server.web.kernel.clock.advance(300_000_000);
    assert_eq!(put(&server, &late, "image/png", TEN).await, StatusCode::GONE);
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_none_and_the_slot_can_be_used_again() {
    let server = Server::with("").await;
    let path = Files::path(&slot(&server, "a.png", None, 10).await);
    let broken = stream::iter([Ok(Bytes::from_static(b"01")), Err(io::Error::other("gone"))]);
    for body in [Body::from_stream(broken), Body::from(&TEN[..3])] {
        let request = Request::put(&path).header(CONTENT_LENGTH, 10).body(body).unwrap();
        assert!(send(&server, request).await.status().is_client_error());
        assert_eq!(get(&server, &path, &[]).await.0.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(put(&server, &path, "image/png", TEN).await, StatusCode::CREATED);
}

#[tokio::test]
async fn a_client_that_stops_sending_is_not_waited_for() {
    let server = Server::with("").await;
    let slot = slot(&server, "a.png", None, 10).await;
    let arrival = server.web.kernel.files.receive(&slot.token, "a.png", 10, None).await.unwrap();
    // Not before: the database has threads of its own, which this clock does not wait for.
    tokio::time::pause();
    let body = Body::from_stream(stream::pending::<io::Result<Bytes>>());
    let taken = take(arrival, &mut body.into_data_stream()).await;
    assert!(matches!(taken, Err(Refusal::TooSlow)));
    assert_eq!(Refusal::TooSlow.into_response().status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn web_clients_of_other_origins_may_upload_and_resume() {
    let server = Server::with("").await;
    let path = Files::path(&slot(&server, "a.png", None, 10).await);
    let preflight = Request::options(&path)
        .header(header::ORIGIN, "https://chat.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
    let answer = server.web.router().oneshot(preflight.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let methods = answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
    assert!(["PUT", "GET", "HEAD"].iter().all(|method| methods.contains(method)), "{methods}");
    // `*` would not cover `Authorization`, so what is asked for is allowed.
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type");
    assert_eq!(put(&server, &path, "image/png", TEN).await, StatusCode::CREATED);
    let (answer, _) = get(&server, &path, &[(header::ORIGIN, "https://chat.example")]).await;
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let exposed = answer.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
    assert!(exposed.contains("content-range") && exposed.contains("etag"), "{exposed}");
}
