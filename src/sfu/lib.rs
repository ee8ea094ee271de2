//! The media engine of conferences (a selective forwarding unit) as a state machine: datagrams,
//! commands and the time go in, datagrams and events come out. It knows neither sockets nor XMPP.

mod allowance;
pub mod api;
mod choice;
mod demux;
pub mod egress;
mod engine;
mod ids;
mod leg;
mod meter;
pub mod mix;
mod output;
pub mod peer;
mod speaker;
mod stage;
pub mod tape;
mod thinning;
mod track;
#[cfg(test)]
mod virtual_time;

pub use engine::{Engine, Limits, Totals};
pub use peer::Outgoing;
pub use peer::webrtc::{Identity, WebRtc};
