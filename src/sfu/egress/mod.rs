//! What leaves for receivers without passing through str0m, and what they say of it.

pub mod rtcp;
pub mod srtp;
