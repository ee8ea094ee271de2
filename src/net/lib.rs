//! Sockets: listeners, TLS and the tasks that own connections.

pub mod c2s;
pub mod listener;
pub mod proxy_protocol;
pub mod tls;
