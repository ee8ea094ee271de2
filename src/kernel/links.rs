//! Streams with other servers, for who tells of them.

/// A stream between one of our domains and one of another server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    pub ours: String,
    pub theirs: String,
    pub direction: Direction,
}

/// Which way stanzas go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    Incoming,
    Outgoing,
    Both,
}
