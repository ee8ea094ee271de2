//! Statements that SQLite and PostgreSQL understand alike. This folder is compiled as a part of each of
//! them: `Database`, `Connection` and `DatabaseRow` are those of the database around it.

mod accounts;
mod archive;
mod audit;
mod block_feeds;
mod blocking;
mod caps;
mod clients;
mod documents;
mod invites;
mod last;
mod meta;
mod offline;
mod prefs;
mod privacy;
mod pubsub;
mod pubsub_items;
mod push;
mod push_devices;
mod refresh_tokens;
mod reports;
mod rooms;
mod roster;
mod sessions;
mod uploads;

use super::{Connection, Database, DatabaseRow, maintain, query};
use crate::time::wall_clock;
use crate::{ArchiveId, ArchiveIds, StoreError, Timestamp};

const OPENED: &str = "UPDATE archive_progress SET opened = opened + 1 RETURNING opened";
const NEWEST: &str = "SELECT id, time FROM message ORDER BY id DESC LIMIT 1";

/// A clock that was wrong by more than this while messages were written is not followed: it would
/// make the ids of all messages to come wrong, too.
const CLOCK_ERROR_MICROS: i64 = 3_600 * 1_000_000;

/// Counts this opening of the database. Returns generators of ids that go on above those in the store: of
/// messages, which follow the clock of the machine, and of archives, which follow the caller's.
pub(super) async fn open(conn: &mut Connection) -> Result<(ArchiveIds, ArchiveIds), StoreError> {
    let opened: i64 = sqlx::query_scalar(OPENED).fetch_one(&mut *conn).await?;
    let newest: Option<(i64, i64)> = sqlx::query_as(NEWEST).fetch_optional(conn).await?;
    let (id, time) = newest.unwrap_or_default();
    let latest = wall_clock().plus_micros(CLOCK_ERROR_MICROS);
    let follow = |newest: Timestamp| {
        if newest > latest {
            tracing::warn!("messages in the store are from the future; the clock was wrong once");
        }
        ArchiveIds::new(opened, newest.min(latest))
    };
    Ok((follow(ArchiveId::from_i64(id).time()), follow(Timestamp::from_micros(time))))
}
