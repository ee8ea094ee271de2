//! Servers that are moved: whole, from one Wello to another, and from Prosody and ejabberd, whose data is made by
//! the real ones.

#[path = "../../black_box/database.rs"]
mod database;
mod ejabberd;
mod peer;
mod prosody;
mod round_trip;
