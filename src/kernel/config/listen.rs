//! Doors: listeners, their certificates, and what is served over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    pub c2s: Vec<SocketAddr>,
    pub c2s_tls: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub http: Vec<SocketAddr>,
    pub bytestreams: Vec<SocketAddr>,
    /// STUN and TURN by UDP and TCP.
    pub turn: Vec<SocketAddr>,
    /// The same by TLS.
    pub turns: Vec<SocketAddr>,
    pub components: Vec<SocketAddr>,
    /// UDP and TCP, all media of conferences: a thread for each.
    pub media: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub min_version: TlsVersion,
    /// Networks whose connections begin with a PROXY protocol header; empty: none do.
    pub proxy_protocol_from: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum AcmeChallenge {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    pub enabled: bool,
    pub challenge: AcmeChallenge,
    pub directory: String,
    pub contact: Vec<String>,
    /// PEM file of the authority that signed the directory's own certificate, if not public.
    pub root: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub public_url: String,
    pub trusted_proxies: Vec<String>,
    pub metrics_from: Vec<String>,
    pub cors_origins: Vec<String>,
    pub body_bytes: usize,
    pub bosh_wait_seconds: u64,
}
