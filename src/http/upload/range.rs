//! Parts of a file (RFC 9110, section 14).

use std::ops::Range;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    Part(Range<u64>),
    Unsatisfiable,
}

/// What a `Range` asks for of `size` bytes. Several parts at once may be ignored (section 14.2),
/// as is what cannot be understood.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(header) = header else { return Wanted::All };
    let parts =
        header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    match parts.and_then(|(_, part)| part.trim().split_once('-')) {
        Some(("", last)) => match number(last) {
            Some(0) => Wanted::Unsatisfiable,
            Some(count) => Wanted::Part(size.saturating_sub(count)..size),
            None => Wanted::All,
        },
        Some((first, last)) => from(first, last, size).unwrap_or(Wanted::All),
        None => Wanted::All,
    }
}

fn from(first: &str, last: &str, size: u64) -> Option<Wanted> {
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if first > last {
        return None;
    }
    if first >= size {
        return Some(Wanted::Unsatisfiable);
    }
    Some(Wanted::Part(first..size.min(last.saturating_add(1))))
}

/// Digits alone; more of them than there are bytes mean as many as there are.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether a list of entity tags names this one, weakly compared (section 8.8.3.2).
pub(super) fn lists(tags: &str, etag: &str) -> bool {
    let named = |tag: &str| tag.trim().trim_start_matches("W/") == etag;
    tags.trim() == "*" || tags.split(',').any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-5", Some(2..6)),
            ("bytes=5-", Some(5..10)),
            ("bytes=9-99", Some(9..10)),
            ("Bytes = 3-4", Some(3..5)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=0-99999999999999999999999", Some(0..10)),
        ] {
            let expected = expected.map_or(Wanted::All, Wanted::Part);
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        for header in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(Some(header), 10), Wanted::Unsatisfiable, "{header}");
        }
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "lines=1-2",
            "bytes=1-2,4-5",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::All, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }

    #[test]
    fn tags() {
        assert!(lists("\"a\", W/\"b\"", "\"b\"") && lists(" * ", "\"b\""));
        assert!(!lists("\"a\", b", "\"b\"") && !lists("", "\"b\""));
    }
}
