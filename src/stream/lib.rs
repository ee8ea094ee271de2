//! XMPP streams as state machines without I/O.

pub mod csi;
pub mod sasl;
pub mod sm;
