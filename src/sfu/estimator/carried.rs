//! How much arrives.

/// Slots of so many microseconds each, together about a second.
const SLOT: i64 = 16_000;
const SLOTS: usize = 64;
/// How many of them make up what has arrived just now.
const LATELY: usize = 20;
/// When nothing has come for so long, perhaps nobody told us: it is counted anew.
const GAP: i64 = 200_000;

/// Octets by the time of their arrival.
pub struct Carried {
    slots: [u32; SLOTS],
    /// The newest arrival, and the first that counts.
    newest: Option<i64>,
    first: i64,
}

impl Default for Carried {
    fn default() -> Carried {
        Carried { slots: [0; SLOTS], newest: None, first: 0 }
    }
}

impl Carried {
    pub fn add(&mut self, octets: u16, arrival: i64) {
        if self.newest.is_none_or(|newest| arrival > newest + GAP) {
            *self = Carried { newest: Some(arrival), first: arrival, ..Carried::default() };
        }
        let newest = self.newest.unwrap_or(arrival);
        let (slot, last) = (arrival.div_euclid(SLOT), newest.div_euclid(SLOT));
        if slot + (SLOTS as i64) <= last {
            return;
        }
        for passed in (last + 1..=slot).rev().take(SLOTS) {
            self.slots[place(passed)] = 0;
        }
        self.newest = Some(newest.max(arrival));
        let slot = &mut self.slots[place(slot)];
        *slot = slot.saturating_add(u32::from(octets));
    }

    /// Bit/s of the last second.
    pub fn long(&self) -> f64 {
        self.rate(SLOTS)
    }

    /// Bit/s of the last third of a second.
    pub fn lately(&self) -> f64 {
        self.rate(LATELY)
    }

    fn rate(&self, slots: usize) -> f64 {
        let Some(newest) = self.newest else { return 0.0 };
        let last = newest.div_euclid(SLOT);
        let begins = (last + 1 - slots as i64) * SLOT;
        let octets: u64 =
            (0..slots as i64).map(|back| u64::from(self.slots[place(last - back)])).sum();
        let elapsed = (newest - begins.max(self.first)).max(SLOT * slots as i64 / 2);
        octets as f64 * 8e6 / elapsed as f64
    }
}

fn place(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of 1000 octets every 10 ms, which is 800 kbit/s.
    fn pass(carried: &mut Carried, from: i64, packets: i64) {
        (0..packets).for_each(|place| carried.add(1000, from + place * 10_000));
    }

    fn is_near(rate: f64, expected: f64) -> bool {
        (rate - expected).abs() < expected / 20.0
    }

    #[test]
    fn it_follows_what_arrives() {
        let mut carried = Carried::default();
        pass(&mut carried, -5_000_000, 200);
        assert!(is_near(carried.long(), 8e5) && is_near(carried.lately(), 8e5));
        pass(&mut carried, -3_000_000, 40);
        pass(&mut carried, -2_999_000, 40);
        assert!(is_near(carried.lately(), 16e5), "{}", carried.lately());
        assert!(carried.long() > 9e5 && carried.long() < 13e5, "{}", carried.long());
        // What is older than all that is known counts no more.
        let before = carried.long();
        carried.add(60_000, -4_900_000);
        assert!(is_near(carried.long(), before));
    }

    #[test]
    fn a_time_of_which_nothing_is_known_does_not_count() {
        let mut carried = Carried::default();
        pass(&mut carried, 0, 100);
        pass(&mut carried, 1_800_000, 25);
        assert!(is_near(carried.lately(), 8e5), "{}", carried.lately());
    }
}
