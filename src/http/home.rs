//! What a browser finds at the root.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::Web;
use crate::page::{escaped, page};

pub(crate) async fn home(State(web): State<Web>, headers: HeaderMap) -> Response {
    let domains: String = web
        .kernel
        .config
        .domains()
        .iter()
        .map(|domain| format!("<li>{}</li>", escaped(domain)))
        .collect();
    let base = escaped(&web.public_url(&headers));
    let socket = base.replacen("http", "ws", 1);
    let main = format!(
        "<h1>This is an XMPP server</h1>\
         <p>Chat here with any <a href=\"https://xmpp.org/software/\">XMPP app</a>. \
         Addresses end with:</p><ul>{domains}</ul>\
         <p>Apps find their way by themselves, from \
         <a href=\"/.well-known/host-meta\">host-meta</a> \
         (<a href=\"/.well-known/host-meta.json\">JSON</a>):</p>\
         <ul><li>WebSocket: <code>{socket}/xmpp-websocket</code></li>\
         <li>BOSH: <code>{base}/http-bind</code></li></ul>"
    );
    page(StatusCode::OK, "XMPP server", &main)
}
