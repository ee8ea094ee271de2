//! What there is to know of this server, at `/about`, and at the root of one without the web client.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::Web;
use crate::page::{escaped, page};
use crate::web_client;

/// The way to the web client.
pub(crate) const CHAT: &str = "<p><a class=\"button\" href=\"/\">Chat in the browser</a></p>";
const NOT_BUILT: &str = "<p><small>This server was built without the web client. Node and \
                         <code>make web</code> before the next build bring it here.</small></p>";

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
    let client = if web_client::is_built() { CHAT } else { NOT_BUILT };
    let main = format!(
        "<h1>This is an XMPP server</h1>{client}\
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
