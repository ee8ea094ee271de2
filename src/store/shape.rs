//! What a query asks of the archive's index, before any SQL.

use bytes::Bytes;

use crate::column::{bare, peer_hash};
use crate::{Anchor, ArchiveId, ArchivedMessage, MessageKind, Query, StoreError, Timestamp};

/// The range and the peer of a query, as numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The page lies strictly between these two.
    pub(crate) above: i64,
    pub(crate) below: i64,
    /// All results lie strictly between these two.
    pub(crate) count_above: i64,
    pub(crate) count_below: i64,
    pub(crate) peer: Option<i64>,
    /// Set when the query names one resource of the peer.
    pub(crate) full_jid: Option<String>,
    pub(crate) ids: Vec<i64>,
    /// The page is read from its newer end.
    pub(crate) backwards: bool,
}

impl Shape {
    pub(crate) fn of(query: &Query) -> Self {
        let after = query.after_id.map_or(i64::MIN, ArchiveId::as_i64);
        let before = query.before_id.map_or(i64::MAX, ArchiveId::as_i64);
        let start = query.start.map_or(i64::MIN, |start| ArchiveId::at(start).as_i64() - 1);
        let end = query.end.map_or(i64::MAX, |end| ArchiveId::at(end.plus_micros(1)).as_i64());
        let (count_above, count_below) = (after.max(start), before.min(end));
        let (above, below, backwards) = match query.anchor {
            Anchor::First => (count_above, count_below, false),
            Anchor::Last => (count_above, count_below, true),
            Anchor::After(id) => (count_above.max(id.as_i64()), count_below, false),
            Anchor::Before(id) => (count_above, count_below.min(id.as_i64()), true),
        };
        Self {
            above,
            below,
            count_above,
            count_below,
            peer: query.with.as_deref().map(|with| peer_hash(bare(with))),
            full_jid: query.with.clone().filter(|with| with.contains('/')),
            ids: query.ids.iter().map(|id| id.as_i64()).collect(),
            backwards,
        }
    }
}

/// Every id that the query names; each must be in the archive.
pub(crate) fn named_ids(query: &Query) -> Vec<i64> {
    let anchor = match query.anchor {
        Anchor::After(id) | Anchor::Before(id) => Some(id),
        Anchor::First | Anchor::Last => None,
    };
    let single = [query.after_id, query.before_id, anchor];
    let ids = query.ids.iter().copied().chain(single.into_iter().flatten());
    ids.map(ArchiveId::as_i64).collect()
}

/// `(id, time, kind, retracted, sender, recipient, stanza)`
pub(crate) type MessageRow = (i64, i64, i64, i64, String, String, Vec<u8>);

pub(crate) fn message(row: MessageRow) -> Result<ArchivedMessage, StoreError> {
    let (id, time, kind, retracted, from, to, stanza) = row;
    Ok(ArchivedMessage {
        id: ArchiveId::from_i64(id),
        stanza: Bytes::from(stanza),
        time: Timestamp::from_micros(time),
        from,
        to,
        kind: kind_of(kind)?,
        retracted: retracted != 0,
    })
}

pub(crate) fn kind_number(kind: MessageKind) -> i64 {
    match kind {
        MessageKind::Normal => 0,
        MessageKind::Chat => 1,
        MessageKind::Groupchat => 2,
        MessageKind::Headline => 3,
        MessageKind::Error => 4,
    }
}

fn kind_of(number: i64) -> Result<MessageKind, StoreError> {
    match number {
        0 => Ok(MessageKind::Normal),
        1 => Ok(MessageKind::Chat),
        2 => Ok(MessageKind::Groupchat),
        3 => Ok(MessageKind::Headline),
        4 => Ok(MessageKind::Error),
        _ => Err(StoreError::Corrupt(format!("{number} is not a kind of message"))),
    }
}
