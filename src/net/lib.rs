//! Sockets: listeners, TLS and the tasks that own connections.

pub mod acme;
pub mod admission;
pub mod c2s;
pub mod component;
pub mod ip_network;
mod ledger;
pub mod listener;
pub mod media_udp;
pub mod outbound;
pub mod proxy_protocol;
pub mod remote;
pub mod s2s;
mod shaper;
pub mod socks5;
pub mod tls;
pub mod turn;
