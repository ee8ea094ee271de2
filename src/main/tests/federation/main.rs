//! Servers that speak with each other, in processes of their own, with a name server of the tests.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on has failed.

mod attacks;
mod certificates;
#[path = "../black_box/client.rs"]
mod client;
mod components;
mod dane;
mod dns;
mod errors;
mod peers;
mod posh;
mod relay;
mod resumption;
mod server;
mod signed_dns;
mod talk;
#[path = "../black_box/wait.rs"]
mod wait;
