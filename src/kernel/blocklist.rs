//! Domains and addresses that the operator wants nothing to do with, read from files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tokio::sync::Notify;
use wello_wire::jid::Jid;

/// The rules of all files, and when they were read.
#[derive(Default)]
pub struct Blocklist {
    files: Vec<PathBuf>,
    rules: RwLock<Arc<Rules>>,
    /// When each file was last changed, as far as it has been read.
    read: Mutex<Vec<Option<SystemTime>>>,
    /// They have been read.
    reloaded: Notify,
}

/// Why a list is not used; what was read before stays in force.
#[derive(Debug, Error)]
pub enum BlocklistError {
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path}, line {line}: {text:?} is neither a domain, *.DOMAIN nor a bare address")]
    Rule { path: PathBuf, line: usize, text: String },
}

impl Blocklist {
    /// Reads all files.
    pub fn open(files: &[PathBuf]) -> Result<Blocklist, BlocklistError> {
        let blocklist = Blocklist { files: files.to_vec(), ..Blocklist::default() };
        blocklist.reload()?;
        Ok(blocklist)
    }

    /// Reads the files again. Blocks the thread while it reads.
    pub fn reload(&self) -> Result<(), BlocklistError> {
        // Before reading, so that what changes meanwhile is read next time.
        let modified = self.modified();
        let mut rules = Rules::default();
        for path in &self.files {
            rules.read(path)?;
        }
        *self.rules.write() = Arc::new(rules);
        *self.read.lock() = modified;
        self.reloaded.notify_one();
        Ok(())
    }

    /// Reads the files again if one of them has changed; whether it has. Blocks the thread.
    pub fn refresh(&self) -> Result<bool, BlocklistError> {
        let changed = self.modified() != *self.read.lock();
        if changed {
            self.reload()?;
        }
        Ok(changed)
    }

    fn modified(&self) -> Vec<Option<SystemTime>> {
        let modified =
            |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        self.files.iter().map(modified).collect()
    }

    /// The rules that are in force now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Waits until the files have been read once more since this last returned; one task can wait.
    pub async fn reloaded(&self) {
        self.reloaded.notified().await;
    }

    pub fn blocks_domain(&self, domain: &str) -> bool {
        self.rules.read().covers_domain(domain)
    }
}

/// Domains, all below domains, and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    domains: HashSet<Box<str>>,
    /// `*.example.org` without the asterisk and its dot.
    above: HashSet<Box<str>>,
    addresses: HashSet<Box<str>>,
}

impl Rules {
    /// Takes a rule; `false` when it is none.
    pub fn add(&mut self, rule: &str) -> bool {
        let (name, below) = match rule.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (rule, false),
        };
        let Ok(jid) = name.parse::<Jid>() else { return false };
        let rule: Box<str> = jid.as_str().into();
        match (below, jid.is_domain(), jid.is_bare()) {
            (true, true, _) => self.above.insert(rule),
            (false, true, _) => self.domains.insert(rule),
            (false, false, true) => self.addresses.insert(rule),
            (true, false, _) | (false, false, false) => return false,
        };
        true
    }

    /// A rule a line; what follows a `#` is for people.
    fn read(&mut self, path: &Path) -> Result<(), BlocklistError> {
        let unreadable = |error| BlocklistError::Unreadable { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        for (number, line) in text.lines().enumerate() {
            let rule = line.split('#').next().unwrap_or_default().trim();
            if !rule.is_empty() && !self.add(rule) {
                let (path, text) = (path.to_owned(), rule.to_owned());
                return Err(BlocklistError::Rule { path, line: number + 1, text });
            }
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.above.is_empty() && self.addresses.is_empty()
    }

    /// Whether a rule is for this address or its domain.
    pub fn covers(&self, jid: &Jid) -> bool {
        !self.is_empty()
            && (self.addresses.contains(jid.bare_str()) || self.covers_domain(jid.domain()))
    }

    pub fn covers_domain(&self, domain: &str) -> bool {
        let mut above = domain.match_indices('.').map(|(dot, _)| &domain[dot + 1..]);
        self.domains.contains(domain) || above.any(|above| self.above.contains(above))
    }
}

impl<'a> FromIterator<&'a str> for Rules {
    /// What is no rule is left out.
    fn from_iter<I: IntoIterator<Item = &'a str>>(rules: I) -> Rules {
        let mut all = Rules::default();
        for rule in rules {
            all.add(rule);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_those_below_and_addresses() {
        let rules: Rules =
            ["Evil.example", "*.spam.example", "troll@a.example"].into_iter().collect();
        let covers = |jid: &str| rules.covers(&jid.parse().unwrap());
        for blocked in ["evil.example", "x@evil.example/y", "a.b.spam.example", "troll@a.example/z"]
        {
            assert!(covers(blocked), "{blocked}");
        }
        for free in
            ["sub.evil.example", "spam.example", "notspam.example", "a.example", "b@a.example"]
        {
            assert!(!covers(free), "{free}");
        }
        let mut rules = Rules::default();
        for mistake in ["*", "*.a@b", "a@b/c", "a b@c", "@"] {
            assert!(!rules.add(mistake), "{mistake}");
        }
        assert!(rules.is_empty());
    }

    #[test]
    fn files_are_read_again_when_they_change_and_mistakes_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blocked");
        assert!(matches!(
            Blocklist::open(std::slice::from_ref(&file)),
            Err(BlocklistError::Unreadable { .. })
        ));
        let write = |text: &str, seconds| {
            std::fs::write(&file, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        write("# Spammers\n\nevil.example # since May\n", 1);
        let list = Blocklist::open(std::slice::from_ref(&file)).unwrap();
        assert!(list.blocks_domain("evil.example"));
        assert!(!list.refresh().unwrap());
        write("other.example", 2);
        assert!(list.refresh().unwrap());
        assert!(list.blocks_domain("other.example") && !list.blocks_domain("evil.example"));
        write("third.example\nnot a domain", 3);
        let mistake = list.refresh().unwrap_err().to_string();
        assert!(mistake.contains("line 2"), "{mistake}");
        assert!(list.blocks_domain("other.example") && !list.blocks_domain("third.example"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_a_rule_covers_what_it_names(line in ".{0,60}") {
            let mut rules = Rules::default();
            if rules.add(&line) {
                let below = line.strip_prefix("*.").map(|above| format!("x.{above}"));
                let named = below.unwrap_or(line).parse().unwrap();
                proptest::prop_assert!(rules.covers(&named));
            }
        }

        #[test]
        fn all_below_a_domain_is_covered_and_nothing_beside_it(
            label in "[a-z]{1,8}",
            above in "[a-z]{1,8}\\.[a-z]{2,8}",
        ) {
            let mut rules = Rules::default();
            rules.add(&format!("*.{above}"));
            for below in [format!("{label}.{above}"), format!("x.{label}.{above}")] {
                proptest::prop_assert!(rules.covers_domain(&below));
            }
            let beside = format!("{label}{above}");
            proptest::prop_assert!(!rules.covers_domain(&beside));
            proptest::prop_assert!(!rules.covers_domain(&above));
        }
    }
}
