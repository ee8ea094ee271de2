use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::Timestamp;

/// Low bits that hold the number of the node, so that two nodes of a cluster never make the same
/// id. The other 52 bits are the time in microseconds, enough until the year 2112.
const NODE_BITS: u32 = 11;

/// base32hex (RFC 4648 §7) in lower case: its strings sort as the numbers they stand for.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Digits that 63 bits need.
const DIGITS: usize = 13;

/// Id of a message in an archive (XEP-0359 `stanza-id`): a number that grows with time, written
/// as 13 characters that sort alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(i64);

impl ArchiveId {
    /// The least id of this moment.
    pub fn at(time: Timestamp) -> Self {
        let micros = time.as_micros().clamp(0, i64::MAX >> NODE_BITS);
        Self(micros << NODE_BITS)
    }

    /// The moment it was made.
    pub fn time(self) -> Timestamp {
        Timestamp::from_micros(self.0 >> NODE_BITS)
    }

    pub(crate) fn as_i64(self) -> i64 {
        self.0
    }

    pub(crate) fn from_i64(value: i64) -> Self {
        Self(value)
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; DIGITS];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            *digit = ALPHABET[(self.0 >> (5 * place) & 31) as usize];
        }
        // The alphabet is ASCII.
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// The text is not an id that this server made; there is no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an archive id")]
pub struct BadArchiveId;

impl FromStr for ArchiveId {
    type Err = BadArchiveId;

    fn from_str(text: &str) -> Result<Self, BadArchiveId> {
        if text.len() != DIGITS {
            return Err(BadArchiveId);
        }
        let mut value = 0u64;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'v' => byte - b'a' + 10,
                _ => return Err(BadArchiveId),
            };
            // The first of 13 digits may use 3 of its 5 bits.
            if value >> 58 != 0 {
                return Err(BadArchiveId);
            }
            value = value << 5 | u64::from(digit);
        }
        i64::try_from(value).map(Self).map_err(|_| BadArchiveId)
    }
}

/// Makes ids that strictly increase within the process and, after a restart, go on above those
/// in the store.
#[derive(Debug)]
pub struct ArchiveIds {
    /// Microseconds of the last id.
    last: AtomicI64,
    node: i64,
}

impl ArchiveIds {
    /// `node` tells apart processes that write to one store; it is taken modulo 2048. Ids will be
    /// later than `after`.
    pub fn new(node: i64, after: Timestamp) -> Self {
        Self { last: AtomicI64::new(after.as_micros()), node: node.rem_euclid(1 << NODE_BITS) }
    }

    /// A generator for messages of the past, such as those of an import: take one for each archive, and
    /// feed it with times that ascend.
    #[must_use]
    pub fn of_the_past(&self) -> Self {
        Self { last: AtomicI64::new(0), node: self.node }
    }

    /// The next id: of this moment, or of the first free microsecond after it.
    pub fn next(&self, now: Timestamp) -> ArchiveId {
        let now = now.as_micros().clamp(0, i64::MAX >> NODE_BITS);
        let previous = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)))
            .unwrap_or_else(|last| last);
        ArchiveId(now.max(previous + 1) << NODE_BITS | self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_as_the_number_and_reads_back() {
        let ids = ArchiveIds::new(2047, Timestamp::default());
        let mut previous = ids.next(Timestamp::from_secs(1_700_000_000));
        for step in 0..2_000 {
            let next = ids.next(Timestamp::from_micros(1_700_000_000_000_000 + step * 37));
            assert!(next > previous);
            assert!(next.to_string() > previous.to_string());
            assert_eq!(next.to_string().parse(), Ok(next));
            previous = next;
        }
    }

    #[test]
    fn ids_grow_when_the_clock_stands_still_or_goes_back() {
        let ids = ArchiveIds::new(1, Timestamp::from_secs(10));
        let first = ids.next(Timestamp::from_secs(5));
        let second = ids.next(Timestamp::from_secs(5));
        assert_eq!(first.time(), Timestamp::from_micros(10_000_001));
        assert_eq!(second.time(), Timestamp::from_micros(10_000_002));
    }

    #[test]
    fn foreign_ids_are_refused() {
        for text in ["", "0", "000000000000w", "A000000000000", "vvvvvvvvvvvvv", "00000000000000"] {
            assert_eq!(text.parse::<ArchiveId>(), Err(BadArchiveId), "{text}");
        }
        assert!("7vvvvvvvvvvvv".parse::<ArchiveId>().is_ok());
        assert!("8000000000000".parse::<ArchiveId>().is_err());
    }
}
