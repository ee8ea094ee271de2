//! The built program from outside: what no scripted conversation can do to it.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, like the tests.

mod attacks;
mod client;
mod database;
mod durability;
mod memory;
mod offline;
mod random;
mod server;
mod uploads;
