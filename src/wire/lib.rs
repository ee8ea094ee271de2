//! What goes over the wire: XML, addresses, stanzas, errors and payloads. No I/O, no clock.

pub mod error;
pub mod hex;
pub mod jid;
pub mod ns;
pub mod payload;
pub mod stanza;
pub mod xml;
