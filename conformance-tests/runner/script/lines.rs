//! Indentation: a step and the block that belongs to it.

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) indent: usize,
    pub(super) text: String,
}

/// A line and the deeper lines below it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) line: Line,
    pub(super) block: Vec<Line>,
}

impl Item {
    pub(super) fn text(&self) -> &str {
        &self.line.text
    }

    /// The block as one text, line breaks kept.
    pub(super) fn body(&self) -> String {
        let lines: Vec<&str> = self.block.iter().map(|l| l.text.as_str()).collect();
        lines.join("\n").trim().to_owned()
    }

    pub(super) fn items(&self) -> Vec<Item> {
        group(&self.block)
    }
}

pub(super) fn read(text: &str) -> Vec<Line> {
    text.lines()
        .enumerate()
        .map(|(i, raw)| {
            let trimmed = raw.trim_start();
            Line {
                number: i + 1,
                indent: if trimmed.is_empty() { usize::MAX } else { raw.len() - trimmed.len() },
                text: trimmed.trim_end().to_owned(),
            }
        })
        .collect()
}

/// Groups lines by the indentation of the first; comments and blank lines between items vanish.
pub(super) fn group(lines: &[Line]) -> Vec<Item> {
    let base = lines.iter().map(|l| l.indent).min().unwrap_or(0);
    let mut items: Vec<Item> = Vec::new();
    for line in lines {
        if line.indent > base {
            if let Some(last) = items.last_mut() {
                last.block.push(line.clone());
            }
        } else if !line.text.starts_with('#') {
            items.push(Item { line: line.clone(), block: Vec::new() });
        }
    }
    for item in &mut items {
        while item.block.last().is_some_and(|l| l.text.is_empty()) {
            item.block.pop();
        }
    }
    items.retain(|i| !i.line.text.is_empty());
    items
}
