//! The built program from outside: what no scripted conversation can do to it.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, like the tests.

mod attacks;
mod client;
mod database;
mod durability;
mod memory;
mod offline;
mod random;
#[allow(dead_code)] // Tests of other subjects take it too.
mod server;
mod uploads;
