//! The web client of `web/`: its build (`web/dist`) is inside the program.

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{Web, home};

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
// A server is whole without it; its home page says how to add it.
#[allow_missing = true]
struct Files;

/// The paths that the client itself tells apart (`web/src/app/routes.ts`).
pub(crate) const PAGES: [&str; 6] =
    ["/", "/settings", "/chat/{address}", "/room/{address}", "/r/{room}", "/join/{room}"];

/// The client, on whichever of its pages.
pub(crate) async fn index(State(web): State<Web>, headers: HeaderMap) -> Response {
    let Some(file) = Files::get("index.html") else { return home::home(State(web), headers).await };
    // Its name stays while what it names changes.
    let headers = [
        (CONTENT_SECURITY_POLICY, policy(&web.public_url(&headers))),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self)".to_owned(),
        ),
    ];
    (headers, content(file, "text/html; charset=utf-8")).into_response()
}

/// What the build named by its content.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    const CACHING: &str = "public, max-age=31536000, immutable";
    let name = format!("assets/{name}");
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let compressed =
        accepted.is_some_and(takes_gzip).then(|| Files::get(&format!("{name}.gz"))).flatten();
    let Some(file) = compressed else {
        return ([(VARY, "accept-encoding")], serve(&name, CACHING)).into_response();
    };
    let headers = [(CACHE_CONTROL, CACHING), (CONTENT_ENCODING, "gzip"), (VARY, "accept-encoding")];
    (headers, content(file, media_type(&name))).into_response()
}

fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        // RFC 9110, section 12.5.3: with a weight of 0 it is refused.
        parts.next() == Some("gzip") && !parts.any(|weight| weight == "q=0")
    })
}

pub(crate) async fn icon() -> Response {
    serve("icon.svg", "max-age=3600")
}

pub(crate) async fn manifest() -> Response {
    serve("manifest.webmanifest", "max-age=3600")
}

pub(crate) fn is_built() -> bool {
    Files::get("index.html").is_some()
}

fn serve(name: &str, caching: &'static str) -> Response {
    match Files::get(name) {
        Some(file) => ([(CACHE_CONTROL, caching)], content(file, media_type(name))).into_response(),
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

fn content(file: EmbeddedFile, media_type: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, file.data.into_owned()).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Our own scripts and styles only; files from where our uploads are (which may be another origin
/// than the page's, behind a proxy). `wss:` because 'self' does not cover it in every browser.
fn policy(public_url: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; manifest-src 'self'; \
         img-src 'self' data: blob: {public_url}; media-src 'self' blob: {public_url}; \
         connect-src 'self' wss: {public_url}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::api::tests::Server;

    #[tokio::test]
    async fn pages_are_the_clients_and_everything_else_is_not() {
        let server = Server::with("").await;
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            server.web.router().oneshot(request).await.unwrap().status()
        };
        for path in [
            "/",
            "/settings",
            "/chat/a%40b.example",
            "/room/r%40c.example",
            "/r/hall",
            "/join/hall%40c.example",
            "/about",
        ] {
            assert_eq!(status(path).await, StatusCode::OK, "{path}");
        }
        for path in ["/nothing", "/assets/none.js", "/assets/../../package.json", "/chat/a/b"] {
            assert_eq!(status(path).await, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn compressed_for_who_takes_it() {
        assert!(takes_gzip("gzip, deflate, br"));
        assert!(takes_gzip("br;q=1.0, gzip;q=0.8"));
        assert!(!takes_gzip("br"));
        assert!(!takes_gzip("gzip;q=0"));
    }

    #[test]
    fn no_script_but_our_own_files() {
        let policy = policy("https://example.org:5443");
        assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe"));
        assert!(policy.contains("img-src 'self' data: blob: https://example.org:5443;"));
    }

    #[test]
    fn scripts_are_told_to_be_scripts() {
        assert_eq!(media_type("assets/index-1a2b.js"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("assets/odd"), "application/octet-stream");
    }
}
