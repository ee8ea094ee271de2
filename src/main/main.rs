//! The `wello` binary.

fn main() {}
