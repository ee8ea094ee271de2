pub mod error;
pub mod jid;
pub mod ns;
pub mod payload;
