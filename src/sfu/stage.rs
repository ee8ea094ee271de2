//! Whose video is forwarded when there are too many cameras: those who have spoken last.

use std::collections::VecDeque;

use crate::api::LegId;

/// Of one conference. Only legs that send sound beside their video are on it: what comes alone, such
/// as a screen, goes to everybody.
#[derive(Default)]
pub struct Stage {
    /// Who has spoken last is the first; who never has stands at the end, as he has come.
    order: VecDeque<LegId>,
}

impl Stage {
    pub fn enter(&mut self, leg: LegId) {
        if !self.order.contains(&leg) {
            self.order.push_back(leg);
        }
    }

    pub fn leave(&mut self, leg: LegId) {
        self.order.retain(|known| *known != leg);
    }

    pub fn speaks(&mut self, leg: LegId) {
        if let Some(place) = self.order.iter().position(|known| *known == leg) {
            self.order.remove(place);
            self.order.push_front(leg);
        }
    }

    /// Whether it is among so many that have spoken last, if those are not counted who look on.
    pub fn shows(&self, leg: LegId, places: usize, onlookers: &[LegId]) -> bool {
        let others = self.order.iter().filter(|known| !onlookers.contains(known));
        !others.skip(places).any(|known| *known == leg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_spoken_last_is_seen() {
        let mut stage = Stage::default();
        (1..=4).for_each(|leg| stage.enter(LegId(leg)));
        let seen = |stage: &Stage, places| {
            (1..=5).filter(|leg| stage.shows(LegId(*leg), places, &[])).collect::<Vec<u64>>()
        };
        // 5 is a screen.
        assert_eq!(seen(&stage, 2), [1, 2, 5]);
        stage.speaks(LegId(4));
        assert_eq!(seen(&stage, 2), [1, 4, 5]);
        stage.speaks(LegId(3));
        assert_eq!(seen(&stage, 2), [3, 4, 5]);
        // 3 sees others than itself.
        assert!(stage.shows(LegId(1), 2, &[LegId(3)]) && !stage.shows(LegId(2), 2, &[LegId(3)]));
        stage.leave(LegId(4));
        stage.enter(LegId(3));
        // 4 is on no stage any more.
        assert_eq!(seen(&stage, 2), [1, 3, 4, 5]);
        assert_eq!(seen(&stage, 0), [4, 5]);
    }
}
