//! Counts of what may happen so often in a while.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;
use wello_store::Timestamp;

/// Counts by key, each in a window that begins with its first event.
pub struct Windows<K> {
    length_micros: i64,
    windows: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    since: Timestamp,
    count: u32,
}

/// Windows of one kind before room is made.
pub(super) const MAX_WINDOWS: usize = 50_000;

impl<K: Eq + Hash> Windows<K> {
    pub fn new(seconds: u64) -> Windows<K> {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        Windows { length_micros: seconds.saturating_mul(1_000_000), windows: Mutex::default() }
    }

    pub fn count(&self, key: &K, now: Timestamp) -> u32 {
        let windows = self.windows.lock();
        windows.get(key).filter(|window| self.is_open(window, now)).map_or(0, |w| w.count)
    }

    pub fn add(&self, key: K, now: Timestamp) {
        self.admit(key, u32::MAX, now);
    }

    /// Counts one more event if there were fewer than `most` in the window; says whether it did.
    pub fn admit(&self, key: K, most: u32, now: Timestamp) -> bool {
        let mut windows = self.windows.lock();
        if windows.len() >= MAX_WINDOWS && !windows.contains_key(&key) {
            windows.retain(|_, window| self.is_open(window, now));
            // Under a flood of new keys, those that matter are the ones that came back.
            keep_heaviest(&mut windows, MAX_WINDOWS / 2, |window| window.count);
        }
        let window = windows.entry(key).or_insert(Window { since: now, count: 0 });
        if !self.is_open(window, now) {
            *window = Window { since: now, count: 0 };
        }
        let admitted = window.count < most;
        window.count += u32::from(admitted);
        admitted
    }

    pub(super) fn forget(&self, key: &K) {
        self.windows.lock().remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.windows.lock().len()
    }

    fn is_open(&self, window: &Window, now: Timestamp) -> bool {
        now < window.since.plus_micros(self.length_micros)
    }
}

/// Leaves at most so many entries: those with the largest weights. To be called with `most` well below
/// the bound that was reached, because it costs.
pub fn keep_heaviest<K, V, W: Copy + Ord>(
    entries: &mut HashMap<K, V>,
    most: usize,
    weight: impl Fn(&V) -> W,
) {
    let Some(surplus) = entries.len().checked_sub(most).filter(|surplus| *surplus > 0) else {
        return;
    };
    let mut weights: Vec<W> = entries.values().map(&weight).collect();
    // `surplus - 1` is below their number, because `surplus` is at most that.
    let (_, &mut bound, heavier) = weights.select_nth_unstable(surplus - 1);
    // Of those that weigh as much as the heaviest that goes, as many stay as there is room for.
    let mut room = heavier.iter().filter(|weight| **weight == bound).count();
    entries.retain(|_, entry| match weight(entry).cmp(&bound) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => {
            let stays = room > 0;
            room = room.saturating_sub(1);
            stays
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    #[test]
    fn so_many_are_admitted_within_a_window() {
        let windows = Windows::new(60);
        assert!(windows.admit("a", 2, NOW) && windows.admit("a", 2, NOW));
        assert!(!windows.admit("a", 2, NOW) && windows.admit("b", 2, NOW));
        assert_eq!(windows.count(&"a", NOW), 2, "who was refused is not counted");
        assert!(windows.admit("a", 2, Timestamp::from_secs(1060)));
    }

    #[test]
    fn a_flood_of_keys_occupies_bounded_room_and_hides_nobody_who_came_back() {
        let windows = Windows::new(60);
        let busy = 0..MAX_WINDOWS / 2;
        for key in busy.clone().chain(busy.clone()) {
            windows.add(key, NOW);
        }
        for key in 0..MAX_WINDOWS {
            windows.add(MAX_WINDOWS + key, NOW);
        }
        assert!(windows.len() <= MAX_WINDOWS);
        assert!(busy.into_iter().all(|key| windows.count(&key, NOW) == 2));
    }

    #[test]
    fn the_heaviest_stay_however_many_are_equal() {
        let kept = |weights: &[u32], most| {
            let mut entries: HashMap<usize, u32> = weights.iter().copied().enumerate().collect();
            keep_heaviest(&mut entries, most, |weight| *weight);
            let mut left: Vec<u32> = entries.into_values().collect();
            left.sort_unstable();
            left
        };
        assert_eq!(kept(&[3, 1, 2, 5], 2), [3, 5]);
        assert_eq!(kept(&[1, 1, 1, 4], 2), [1, 4]);
        assert_eq!(kept(&[1, 1, 1], 2), [1, 1]);
        assert_eq!(kept(&[7, 8], 0), [0u32; 0]);
        assert_eq!(kept(&[7, 8], 2), [7, 8]);
    }
}
