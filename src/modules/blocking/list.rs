//! Who is blocked, as a pure decision.

use std::collections::BTreeSet;

use wello_wire::jid::Jid;

/// The addresses that one account blocks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BlockList {
    jids: BTreeSet<Box<str>>,
}

impl BlockList {
    pub(super) fn new(jids: impl IntoIterator<Item = String>) -> BlockList {
        BlockList { jids: jids.into_iter().map(Into::into).collect() }
    }

    /// Section 6: the exact address, all resources of a bare one, a whole domain. Does not
    /// allocate.
    pub(super) fn blocks(&self, jid: &Jid) -> bool {
        !self.jids.is_empty()
            && [jid.as_str(), jid.bare_str(), jid.domain()]
                .into_iter()
                .any(|text| self.jids.contains(text))
    }

    /// Whether exactly this address is on the list.
    pub(super) fn contains(&self, jid: &Jid) -> bool {
        self.jids.contains(jid.as_str())
    }

    pub(super) fn len(&self) -> usize {
        self.jids.len()
    }

    /// Roughly how many bytes it occupies.
    pub(super) fn weight(&self) -> usize {
        self.jids.iter().map(|jid| jid.len() + 48).sum()
    }

    pub(super) fn to_jids(&self) -> Vec<Jid> {
        self.jids.iter().filter_map(|jid| jid.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matching_of_section_6() {
        let blocks =
            |item: &str, jid: &str| BlockList::new([item.to_owned()]).blocks(&jid.parse().unwrap());
        for (item, hits, misses) in [
            ("a@b/c", &["a@b/c"][..], &["a@b", "a@b/d", "b", "b/c"][..]),
            ("a@b", &["a@b", "a@b/c"], &["b", "x@b", "a@x.b", "a@b.x"]),
            ("b/c", &["b/c"], &["b", "a@b/c", "b/d"]),
            ("b", &["b", "b/c", "a@b", "a@b/c"], &["x.b", "a@x.b", "bb"]),
        ] {
            for jid in hits {
                assert!(blocks(item, jid), "{item} blocks {jid}");
            }
            for jid in misses {
                assert!(!blocks(item, jid), "{item} does not block {jid}");
            }
        }
        assert!(!BlockList::default().blocks(&"a@b".parse().unwrap()));
    }
}
