//! Servers that are moved: whole, from one Wello to another, and from Prosody and ejabberd, whose data is made by
//! the real ones.

#[path = "../../black_box/database.rs"]
#[expect(dead_code, reason = "of it only PostgreSQL is wanted here")]
mod database;
mod ejabberd;
mod peer;
mod postgres;
mod prosody;
mod round_trip;

pub use peer::tell;
