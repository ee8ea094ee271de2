//! Certificates that are on websites (RFC 7711). How others are asked is tried where they have the port for it, in
//! conformance-tests/federation.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::attacks::shown_by;
use crate::dns::Dns;
use crate::server::{Plan, Server};

#[tokio::test]
async fn the_server_tells_which_certificates_it_shows() {
    let server = Server::start(&Dns::start().await, Plan::default()).await;
    let shown = BASE64_STANDARD.encode(Sha256::digest(shown_by(&server).await));
    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let request = "GET /.well-known/posh/xmpp-server.json HTTP/1.1\r\nHost: a.example\r\n\
        Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (header, json) = answer.split_once("\r\n\r\n").unwrap();
    assert!(header.starts_with("HTTP/1.1 200"), "{header}");
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(document["fingerprints"][0]["sha-256"], shown.as_str(), "{document}");
    assert!(document["expires"].as_u64().unwrap() > 0, "{document}");
}
