//! What has come before does not come again (RFC 3711, section 3.3.2).

/// Sources of which it is known what has come. A client whose sources change all the time is not
/// refused: the one that was silent for the longest is forgotten.
const MAX_SOURCES: usize = 64;

/// What has come of each source, those that were heard of last at the end.
#[derive(Default)]
pub struct Replay {
    sources: Vec<(u32, Window)>,
}

impl Replay {
    pub fn is_new(&self, source: u32, index: u32) -> bool {
        let known = self.sources.iter().find(|(known, _)| *known == source);
        known.is_none_or(|(_, window)| window.is_new(index))
    }

    /// To be called for what is genuine alone.
    pub fn note(&mut self, source: u32, index: u32) {
        let known = self.sources.iter().position(|(known, _)| *known == source);
        let mut window = match known {
            Some(place) => self.sources.remove(place).1,
            None => Window { highest: index, seen: 0 },
        };
        if self.sources.len() == MAX_SOURCES {
            self.sources.remove(0);
        }
        window.note(index);
        self.sources.push((source, window));
    }
}

/// The last 64 indices; what is older counts as seen.
struct Window {
    highest: u32,
    /// The lowest bit is the highest index.
    seen: u64,
}

impl Window {
    fn is_new(&self, index: u32) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(back) => self.seen.checked_shr(back).is_some_and(|seen| seen & 1 == 0),
        }
    }

    fn note(&mut self, index: u32) {
        if let Some(ahead) = index.checked_sub(self.highest) {
            self.seen = self.seen.checked_shl(ahead).unwrap_or_default();
            self.highest = index;
        }
        self.seen |= 1u64.checked_shl(self.highest - index).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_has_64_indices() {
        let mut replay = Replay::default();
        assert!(replay.is_new(1, 100));
        replay.note(1, 100);
        assert!(!replay.is_new(1, 100) && replay.is_new(2, 100));
        assert!(replay.is_new(1, 37) && !replay.is_new(1, 36));
        replay.note(1, 37);
        assert!(!replay.is_new(1, 37) && replay.is_new(1, 38));
        replay.note(1, 164);
        assert!(!replay.is_new(1, 100) && replay.is_new(1, 101));
    }

    #[test]
    fn the_source_that_was_silent_for_the_longest_is_forgotten() {
        let mut replay = Replay::default();
        for source in 0..64 {
            replay.note(source, 5);
        }
        replay.note(0, 6);
        replay.note(64, 5);
        assert_eq!(replay.sources.len(), MAX_SOURCES);
        assert!(replay.is_new(1, 5) && !replay.is_new(0, 5) && !replay.is_new(2, 5));
    }

    proptest! {
        #[test]
        fn nothing_comes_twice(indices in proptest::collection::vec(0u32..200, 0..400)) {
            let mut replay = Replay::default();
            let mut seen = HashSet::new();
            for index in indices {
                let highest = seen.iter().copied().max();
                let in_reach = highest.is_none_or(|highest| index + 64 > highest);
                prop_assert_eq!(replay.is_new(7, index), in_reach && !seen.contains(&index));
                if replay.is_new(7, index) {
                    replay.note(7, index);
                    seen.insert(index);
                }
            }
        }
    }
}
