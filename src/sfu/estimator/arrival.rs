//! When packets arrive, and which of them count (draft-ietf-rmcat-gcc-02, sections 5.1 and 5.2).

/// What is sent within this time is a group, and what arrives within this time after a group although
/// it was sent later has been held up with it. Microseconds.
const BURST: i64 = 5_000;
/// How long a group can become by what was held up with it.
const LONGEST_BURST: i64 = 100_000;
/// A delay that differs more than this from the first one is the word of another clock.
const LONGEST_DELAY: i64 = 10_000_000;

/// Brings the receiver's clock to ours.
#[derive(Default)]
pub struct Clock {
    offset: Option<i64>,
}

impl Clock {
    /// An arrival on our clock, as if the first packet had taken no time, and whether we begin anew
    /// because the receiver's clock has jumped. At most `LONGEST_DELAY` from when it was sent.
    pub fn read(&mut self, sent: i64, arrival: i64) -> (i64, bool) {
        let offset = arrival.saturating_sub(sent);
        let delay = self.offset.map(|first| offset.saturating_sub(first));
        match delay.filter(|delay| (-LONGEST_DELAY..=LONGEST_DELAY).contains(delay)) {
            Some(delay) => (sent.saturating_add(delay), false),
            None => (sent, self.offset.replace(offset).is_some()),
        }
    }
}

/// Packets that went together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// When the first was sent.
    pub sent: i64,
    /// The shortest that one of them took, above the first packet of all, and when that one arrived.
    pub delay: i64,
    pub arrival: i64,
    begins: i64,
    ends: i64,
}

impl Group {
    fn new(sent: i64, arrival: i64) -> Group {
        let delay = arrival.saturating_sub(sent);
        Group { sent, delay, arrival, begins: arrival, ends: arrival }
    }

    fn contains(&self, sent: i64, arrival: i64) -> bool {
        let delay = arrival.saturating_sub(sent);
        let held_up = delay < self.delay && arrival < self.ends + BURST;
        sent < self.sent + BURST || (held_up && arrival < self.begins + LONGEST_BURST)
    }

    fn add(&mut self, sent: i64, arrival: i64) {
        let delay = arrival.saturating_sub(sent);
        if delay < self.delay {
            (self.delay, self.arrival) = (delay, arrival);
        }
        self.begins = self.begins.min(arrival);
        self.ends = self.ends.max(arrival);
    }
}

#[derive(Default)]
pub struct Groups {
    current: Option<Group>,
}

impl Groups {
    /// The group that is complete when this packet belongs to the next one.
    pub fn add(&mut self, sent: i64, arrival: i64) -> Option<Group> {
        match &mut self.current {
            // It is late, and its group is over.
            Some(current) if sent < current.sent => None,
            Some(current) if current.contains(sent, arrival) => {
                current.add(sent, arrival);
                None
            }
            current => current.replace(Group::new(sent, arrival)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_another_clock() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(1000, i64::MAX), (1000, false));
        assert_eq!(clock.read(2000, i64::MAX), (1000, false));
        assert_eq!(clock.read(3000, i64::MIN), (3000, true));
        assert_eq!(clock.read(3000, 77_000), (3000, true));
        assert_eq!(clock.read(4000, 78_500), (4500, false));
        assert_eq!(clock.read(4000, 78_000 + LONGEST_DELAY), (4000 + LONGEST_DELAY, false));
        assert_eq!(clock.read(4000, 78_001 + LONGEST_DELAY), (4000, true));
    }

    #[test]
    fn a_burst_is_a_group_and_its_first_counts() {
        let mut groups = Groups::default();
        // Ten at once, each of which takes a millisecond, and one that is late.
        for place in 0..10 {
            assert_eq!(groups.add(100, 20_000 + place * 1000), None);
        }
        assert_eq!(groups.add(50, 60_000), None);
        let group = groups.add(40_100, 61_000).unwrap();
        assert_eq!((group.sent, group.delay, group.arrival), (100, 19_900, 20_000));
        // What was held up, and comes at once then.
        for place in 0..10 {
            let sent = 80_000 + place * 10_000;
            assert_eq!(groups.add(sent, 200_000 + place).is_some(), place == 0);
        }
        let group = groups.add(200_000, 220_000).unwrap();
        assert_eq!(group.delay, 30_009);
    }
}
