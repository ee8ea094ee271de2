//! XMPP streams, and STUN and TURN, as state machines without I/O.

pub mod c2s;
pub mod component;
pub mod csi;
pub mod framing;
pub mod nonza;
pub mod random;
pub mod s2s;
pub mod sasl;
pub mod sm;
pub mod stun;
pub mod turn;
