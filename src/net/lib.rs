//! Sockets: listeners, TLS and the tasks that own connections.

pub mod ip_network;
pub mod proxy_protocol;
pub mod tls;
