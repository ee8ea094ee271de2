//! A chat message whose bytes are made once; only its id changes.

use std::sync::LazyLock;

use tokio::time::Instant;

/// What a message's id says: `m` or, for the last of a round, `z`, eight hex digits of sequence, sixteen of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) last: bool,
    pub(crate) sequence: u32,
    pub(crate) sent: Instant,
}

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

const ID_BYTES: usize = 25;

impl Id {
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|t| t.len() == ID_BYTES)?;
        let last = match text.as_bytes()[0] {
            b'm' => false,
            b'z' => true,
            _ => return None,
        };
        let nanos = u64::from_str_radix(text.get(9..)?, 16).ok()?;
        Some(Self {
            last,
            sequence: u32::from_str_radix(text.get(1..9)?, 16).ok()?,
            sent: EPOCH.checked_add(std::time::Duration::from_nanos(nanos))?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        let nanos = u64::try_from(self.sent.saturating_duration_since(*EPOCH).as_nanos())
            .unwrap_or(u64::MAX);
        out.push(if self.last { b'z' } else { b'm' });
        hex(u64::from(self.sequence), 8, out);
        hex(nanos, 16, out);
    }
}

fn hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    out.extend((0..digits).rev().map(|d| b"0123456789abcdef"[(value >> (4 * d)) as usize & 15]));
}

#[derive(Clone)]
pub(crate) struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    pub(crate) fn new(to: &str, kind: &str, number: usize, body_bytes: usize) -> Self {
        LazyLock::force(&EPOCH);
        let text =
            format!("{number}: the quick brown fox jumps over the lazy dog while we measure it. ");
        let body: String = text.chars().cycle().take(body_bytes).collect();
        Self {
            before: format!("<message to='{to}' type='{kind}' id='").into_bytes(),
            after: format!("'><body>{body}</body></message>").into_bytes(),
        }
    }

    pub(crate) fn write(&self, id: Id, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        id.write(out);
        out.extend_from_slice(&self.after);
    }

    /// Room for a batch and its acknowledgement requests.
    pub(crate) fn batch_bytes(&self, count: u32) -> usize {
        (count as usize + 1) * (self.before.len() + ID_BYTES + self.after.len() + 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::{attr, text};

    #[test]
    fn what_is_written_is_read_back() {
        let id = Id { last: true, sequence: 0xabcdef, sent: Instant::now() };
        let mut bytes = Vec::new();
        Template::new("b@localhost", "chat", 3, 100).write(id, &mut bytes);
        let back = Id::parse(attr(&bytes, "id").unwrap()).unwrap();
        assert_eq!((back.last, back.sequence), (true, 0xabcdef));
        assert!(id.sent.saturating_duration_since(back.sent).as_nanos() == 0);
        assert_eq!(text(&bytes, "body").unwrap().len(), 100);
        assert_eq!(Id::parse(b"m00000001"), None);
    }
}
