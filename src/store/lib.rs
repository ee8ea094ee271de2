//! Storage: one small trait for each domain beside its row types, implemented by hand-written SQL on
//! SQLite and PostgreSQL. Addresses are normalised JIDs as strings; nothing here parses them.

#![expect(clippy::duplicate_mod, reason = "folder sql is compiled once for each database")]

mod accounts;
mod archive;
mod archive_id;
mod blocking;
mod caps;
mod clients;
mod column;
mod documents;
mod error;
mod fulltext;
mod invites;
mod last;
mod location;
mod meta;
mod migrations;
mod offline;
mod options;
mod postgres;
mod privacy;
mod pubsub;
mod push;
mod push_devices;
mod refresh_tokens;
mod reports;
mod rooms;
mod roster;
mod sessions;
mod shape;
mod sqlite;
mod store;
mod ticket;
mod time;
mod uploads;
mod words;
mod writer;

pub use accounts::*;
pub use archive::*;
pub use archive_id::{ArchiveId, ArchiveIds, BadArchiveId};
pub use blocking::*;
pub use caps::*;
pub use clients::*;
pub use documents::*;
pub use error::StoreError;
pub use invites::*;
pub use last::*;
pub use location::Location;
pub use meta::*;
pub use offline::*;
pub use options::{BatchReport, OnBatch, Options};
pub use privacy::*;
pub use pubsub::*;
pub use push::*;
pub use push_devices::*;
pub use refresh_tokens::*;
pub use reports::*;
pub use rooms::*;
pub use roster::*;
pub use sessions::*;
pub use store::Store;
pub use ticket::Ticket;
pub use uploads::*;
pub use wello_wire::payload::datetime::Timestamp;
pub use words::UnknownWord;
