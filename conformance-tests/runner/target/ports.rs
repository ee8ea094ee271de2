//! Free ports and the domains that every own server serves.

use std::net::TcpListener;

use crate::client::Endpoint;

pub(super) const DOMAIN: &str = "localhost";
pub(super) const SECOND_DOMAIN: &str = "second.localhost";

/// Asks the system for unused ports. All are held until all are known, so that they differ.
pub(super) fn free() -> anyhow::Result<Endpoint> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..5 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        ports.push(listener.local_addr()?.port());
        held.push(listener);
    }
    Ok(Endpoint {
        host: "127.0.0.1".to_owned(),
        c2s: ports[0],
        c2s_tls: ports[1],
        https: ports[2],
        http: ports[3],
        components: ports[4],
    })
}
