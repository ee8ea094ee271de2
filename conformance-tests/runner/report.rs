//! Outcomes: lines on the terminal, `results.jsonl`, excuses, the table by specification.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::script::Script;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) spec: String,
    pub(crate) clause: String,
    pub(crate) title: String,
    pub(crate) outcome: Outcome,
    pub(crate) ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Row {
    pub(crate) fn new(script: &Script, outcome: Outcome, ms: u64, reason: Option<String>) -> Self {
        Self {
            id: script.id.clone(),
            spec: script.spec.clone(),
            clause: script.clause.clone(),
            title: script.title.clone(),
            outcome,
            ms,
            reason,
        }
    }
}

/// A known failure: why, against which clause, and when it has to be gone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Excuse {
    id: String,
    pub(crate) reason: String,
    pub(crate) clause: String,
    pub(crate) until: String,
}

#[derive(Debug, Default)]
pub(crate) struct Excuses(HashMap<String, Excuse>);

impl Excuses {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            excuse: Vec<Excuse>,
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self(file.excuse.into_iter().map(|e| (e.id.clone(), e)).collect()))
    }

    /// Excuses for scripts that do not exist would hide a misspelt id.
    pub(crate) fn unknown(&self, scripts: &[Script]) -> Vec<String> {
        let known = |id: &String| scripts.iter().any(|s| s.id == *id);
        self.0.keys().filter(|id| !known(id)).cloned().collect()
    }

    /// An excused failure does not count; an excused pass does, as the excuse is stale.
    pub(crate) fn judge(&self, row: &mut Row) {
        let Some(excuse) = self.0.get(&row.id) else {
            return;
        };
        match row.outcome {
            Outcome::Failed => {
                row.outcome = Outcome::Skipped;
                row.reason = Some(format!(
                    "excused until {} ({}): {}",
                    excuse.until, excuse.clause, excuse.reason
                ));
            }
            Outcome::Passed => {
                row.outcome = Outcome::Failed;
                row.reason = Some("passes, so its excuse must go".to_owned());
            }
            Outcome::Skipped => {}
        }
    }
}

pub(crate) fn print_row(row: &Row) {
    let word = match row.outcome {
        Outcome::Passed => "ok  ",
        Outcome::Failed => "FAIL",
        Outcome::Skipped => "skip",
    };
    println!("{word} {} ({} {}, {} ms)", row.id, row.spec, row.clause, row.ms);
    if let Some(reason) = &row.reason {
        for line in reason.lines() {
            println!("       {line}");
        }
    }
}

pub(crate) fn write_results(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// Passed, failed, skipped.
pub(crate) fn totals(rows: &[Row]) -> [usize; 3] {
    let count = |o| rows.iter().filter(|r| r.outcome == o).count();
    [count(Outcome::Passed), count(Outcome::Failed), count(Outcome::Skipped)]
}

/// The table by specification, as Markdown.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut specs: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        specs.entry(&row.spec).or_default().push(row);
    }
    let mut out = String::from(
        "# Conformance\n\nWritten by `cargo run -p wello-conformance -- --render FILE`; each line \
         is a script in `conformance-tests/`.\n\n\
         | specification | passed | failed | skipped |\n|---|---|---|---|\n",
    );
    for (spec, rows) in &specs {
        let owned: Vec<Row> = rows.iter().map(|r| (*r).clone()).collect();
        let [passed, failed, skipped] = totals(&owned);
        let _ = writeln!(out, "| {spec} | {passed} | {failed} | {skipped} |");
    }
    for (spec, rows) in &mut specs {
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let _ = write!(out, "\n## {spec}\n\n| clause | what is shown | outcome |\n|---|---|---|\n");
        for row in rows {
            let outcome = match row.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed => "**failed**".to_owned(),
                Outcome::Skipped => {
                    format!("skipped: {}", row.reason.as_deref().unwrap_or("-").replace('\n', " "))
                }
            };
            let title = row.title.replace('|', "\\|").replace('<', "\\<");
            let _ = writeln!(out, "| {} | {title} | {outcome} |", row.clause);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome) -> Row {
        let (id, spec) = ("a/b".to_owned(), "RFC 1".to_owned());
        let (clause, title) = (String::new(), String::new());
        Row { id, spec, clause, title, outcome, ms: 0, reason: None }
    }

    #[test]
    fn excuses_turn_failures_and_passes() {
        let text = "[[excuse]]\nid='a/b'\nreason='r'\nclause='c'\nuntil='u'\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.toml");
        std::fs::write(&path, text).unwrap();
        let excuses = Excuses::load(&path).unwrap();
        for (before, after) in [
            (Outcome::Failed, Outcome::Skipped),
            (Outcome::Passed, Outcome::Failed),
            (Outcome::Skipped, Outcome::Skipped),
        ] {
            let mut row = row(before);
            excuses.judge(&mut row);
            assert_eq!(row.outcome, after);
        }
        assert_eq!(excuses.unknown(&[]), ["a/b"]);
    }
}
