//! Which certificates this server shows (POSH, RFC 7711): what the websites of domains that it serves, and has no
//! certificate for, redirect to.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wello_net::tls::CertificateStore;

/// How long others may keep the answer, in seconds: for that long they do not know a new certificate.
const EXPIRES: u32 = 3600;

pub fn router(certificates: Arc<CertificateStore>) -> Router {
    Router::new()
        .route("/.well-known/posh/xmpp-server.json", get(fingerprints))
        .route("/.well-known/posh/xmpp-client.json", get(fingerprints))
        .with_state(certificates)
}

async fn fingerprints(State(certificates): State<Arc<CertificateStore>>) -> Json<Value> {
    let hosts = certificates.hosts();
    let encoded = hosts.iter().map(|host| BASE64_STANDARD.encode(host.fingerprint()));
    let fingerprints: Vec<Value> = encoded.map(|sha256| json!({ "sha-256": sha256 })).collect();
    Json(json!({ "fingerprints": fingerprints, "expires": EXPIRES }))
}
