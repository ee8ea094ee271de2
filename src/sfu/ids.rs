//! Maps by ids. Every packet is looked up in them once for each receiver.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<Scatter>>;

/// 2^64 divided by the golden ratio (Fibonacci hashing).
const RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// One multiplication: the signalling chooses all ids, so that nobody can look for those that collide.
#[derive(Default)]
pub struct Scatter(u64);

impl Hasher for Scatter {
    fn write_u64(&mut self, id: u64) {
        let product = u128::from(self.0 ^ id) * u128::from(RATIO);
        // Maps use the lowest and the highest bits: both halves have good ones in other places.
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;
    use crate::api::LegId;

    #[test]
    fn ids_in_strides_are_scattered() {
        let hash = |id| BuildHasherDefault::<Scatter>::default().hash_one(LegId(id));
        for stride in [1, 2, 16, 1 << 20, 1 << 32, 1 << 40, 0x1_0000_0001] {
            let hashes: Vec<u64> = (0..256).map(|place| hash(place * stride)).collect();
            let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xff).collect();
            let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(low.len() > 120 && high.len() > 80, "{stride}: {} {}", low.len(), high.len());
        }
    }
}
