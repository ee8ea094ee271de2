//! Where the web transports are (XEP-0156 version 1.4, XEP-0487 version 0.2).

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use wello_wire::ns;
use wello_wire::xml::Element;

use crate::Web;

/// The namespace of RFC 6415.
const XRD: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";

pub(crate) async fn xml(State(web): State<Web>, headers: HeaderMap) -> Response {
    let links = links(&web, &headers)
        .into_iter()
        .map(|(rel, href)| Element::new("Link", XRD).with_attr("rel", rel).with_attr("href", href));
    let document = Element::new("XRD", XRD).with_children(links);
    let text = format!("<?xml version='1.0' encoding='utf-8'?>{document}");
    ([(CONTENT_TYPE, "application/xrd+xml")], text).into_response()
}

pub(crate) async fn json(State(web): State<Web>, headers: HeaderMap) -> Response {
    let web_links = links(&web, &headers);
    let links: Vec<_> = web_links
        .into_iter()
        .map(|(rel, href)| json!({ "rel": rel, "href": href }))
        .chain(direct_links(&web))
        .collect();
    let document = json!({ "xmpp": { "ttl": 3600 }, "links": links }).to_string();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

fn links(web: &Web, headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let base = web.public_url(headers);
    let socket = base.replacen("http", "ws", 1);
    vec![
        (ns::ALT_CONNECTIONS_WEBSOCKET, format!("{socket}/xmpp-websocket")),
        (ns::ALT_CONNECTIONS_XBOSH, format!("{base}/http-bind")),
    ]
}

/// XEP-0487: what SRV records would say.
fn direct_links(web: &Web) -> Vec<serde_json::Value> {
    let listen = &web.kernel.config.listen;
    let link =
        |rel: &str, port: u16| json!({ "rel": rel, "port": port, "priority": 1, "weight": 1 });
    let tls =
        listen.c2s_tls.first().map(|address| link("urn:xmpp:alt-connections:tls", address.port()));
    let starttls =
        listen.c2s.first().map(|address| link("urn:xmpp:alt-connections:starttls", address.port()));
    tls.into_iter().chain(starttls).collect()
}

impl Web {
    /// How browsers reach us: as configured, else as they did.
    pub(crate) fn public_url(&self, headers: &HeaderMap) -> String {
        let config = &self.kernel.config;
        if !config.http.public_url.is_empty() {
            return config.http.public_url.trim_end_matches('/').to_owned();
        }
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = asked.rsplit_once(':').map_or(asked, |(name, _)| name);
        let domains = config.domains();
        // Only names that are ours: the header is the client's word.
        let name = if domains.contains(&name) { name } else { domains[0] };
        let port = config.listen.https.first().map_or(443, std::net::SocketAddr::port);
        if port == 443 { format!("https://{name}") } else { format!("https://{name}:{port}") }
    }
}
