//! XMPP streams as state machines without I/O.

pub mod nonza;
pub mod sasl;
