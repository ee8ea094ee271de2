//! The media engine of conferences (a selective forwarding unit) as a state machine: datagrams,
//! commands and the time go in, datagrams and events come out. It knows neither sockets nor XMPP.

pub mod api;
mod demux;
mod engine;
mod leg;
pub mod mix;
mod output;
pub mod peer;
mod speaker;
pub mod tape;
mod track;
#[cfg(test)]
mod virtual_time;

pub use engine::{Engine, Limits, Outgoing, Totals};
pub use peer::webrtc::{Identity, WebRtc};
