//! What was sent and waits for its fate.

use std::collections::VecDeque;

use super::loss::Loss;

/// How many packets are remembered, and for how long, in microseconds. Feedback that comes later is
/// of no use.
const MOST: usize = 4096;
const LONGEST: i64 = 2_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Unknown,
    Arrived,
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// When it left.
    pub at: i64,
    pub octets: u16,
    /// It was sent in a trial.
    pub probes: bool,
    pub fate: Fate,
}

/// Packets by their sequence numbers, which have no gaps.
#[derive(Default)]
pub struct History {
    packets: VecDeque<Packet>,
    next: u16,
}

impl History {
    /// The packet's sequence number.
    pub fn add(&mut self, packet: Packet) -> u16 {
        // Two at the most go for one that comes, so the memory of a busy time is given up slowly.
        for _ in 0..2 {
            let full = self.packets.len() >= MOST;
            if self.packets.front().is_some_and(|old| full || old.at < packet.at - LONGEST) {
                self.packets.pop_front();
            }
        }
        self.packets.push_back(packet);
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        seq
    }

    /// Notes what became of a packet and counts it. The packet, if that was not known; one that was
    /// said to be lost may still arrive.
    pub fn settle(&mut self, seq: u16, arrived: bool, loss: &mut Loss) -> Option<Packet> {
        let first = self.next.wrapping_sub(self.packets.len() as u16);
        let packet = self.packets.get_mut(usize::from(seq.wrapping_sub(first)))?;
        match (packet.fate, arrived) {
            (Fate::Unknown, true) => loss.add(false),
            (Fate::Unknown, false) => loss.add(true),
            (Fate::Lost, true) => loss.take_back(),
            (Fate::Lost, false) | (Fate::Arrived, _) => return None,
        }
        let before = *packet;
        packet.fate = if arrived { Fate::Arrived } else { Fate::Lost };
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at: i64) -> Packet {
        Packet { at, octets: 100, probes: false, fate: Fate::Unknown }
    }

    #[test]
    fn packets_are_found_by_their_numbers_until_they_are_old() {
        let (mut history, mut loss) = (History::default(), Loss::default());
        for at in 0..100_000 {
            assert_eq!(history.add(packet(at)), at as u16);
        }
        let mut at = |seq: i64| history.settle(seq as u16, true, &mut loss).map(|packet| packet.at);
        assert_eq!(at(99_999), Some(99_999));
        assert_eq!(at(100_000 - MOST as i64), Some(100_000 - MOST as i64));
        assert_eq!((at(99_999 - MOST as i64), at(100_000)), (None, None));
        assert_eq!(at(99_999), None, "it is known");
        history.add(packet(LONGEST * 2));
        assert!(history.packets.len() < MOST);
    }

    #[test]
    fn what_was_lost_may_still_arrive() {
        let (mut history, mut loss) = (History::default(), Loss::default());
        (0..100).for_each(|at| _ = history.add(packet(at)));
        (0..100).for_each(|seq| _ = history.settle(seq, seq % 2 == 0, &mut loss));
        assert!(history.settle(1, false, &mut loss).is_none());
        (0..20).for_each(|seq| _ = history.settle(seq, true, &mut loss));
        assert_eq!(loss.verdict(LONGEST), Some(0.4));
    }
}
