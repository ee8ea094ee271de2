//! Sockets: listeners, TLS and the tasks that own connections.

pub mod tls;
