//! What is wrong with the text of a configuration file, in one line.

use std::fmt;

/// A mistake with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; none when the whole file is meant.
    line: Option<usize>,
    /// With its section: `listen.c2s`.
    key: Option<String>,
    /// Names the allowed values where there are few.
    reason: String,
}

impl Mistake {
    pub(super) fn new(text: &str, error: &toml::de::Error) -> Mistake {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let reason = error.message().lines().collect::<Vec<_>>().join(": ");
        Mistake { line, key: line.and_then(|line| key_at(text, line)), reason }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// The key that a line belongs to: its own, or that of the list it is part of.
fn key_at(text: &str, line: usize) -> Option<String> {
    let mut key = None;
    let lines: Vec<&str> = text.lines().take(line).collect();
    for line in lines.into_iter().rev() {
        if let Some(section) = section(line) {
            return Some(match key {
                Some(key) => format!("{section}.{key}"),
                None => section.to_owned(),
            });
        }
        let name = line.split_once('=').map(|(name, _)| name.trim());
        key = key.or_else(|| name.filter(|name| is_bare(name)));
    }
    key.map(str::to_owned)
}

/// The name in `[name]` or `[[name]]`.
fn section(line: &str) -> Option<&str> {
    let line = line.split('#').next()?.trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    Some(name.trim()).filter(|name| is_bare(name))
}

fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_key_above_it() {
        let text = "a = 1\n[listen]\nc2s = [\n  \"[::]:5222\",\n]\n[[host]] # one\ndomain = 'x'\n";
        for (line, key) in [
            (1, Some("a")),
            (2, Some("listen")),
            (4, Some("listen.c2s")),
            (6, Some("host")),
            (7, Some("host.domain")),
        ] {
            assert_eq!(key_at(text, line).as_deref(), key, "line {line}");
        }
        assert_eq!(key_at("?\n", 1), None);
    }
}
