//! What goes over the wire: XML, addresses, stanzas, errors and payloads. No I/O, no clock.

pub mod jid;
pub mod xml;
