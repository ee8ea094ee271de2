//! Trials whether the network carries more: for a moment more is sent than the estimate says, filled up
//! with padding, and it is looked at how fast it arrives.

use super::history::{Fate, Packet};

/// A trial goes for so much more than the estimate.
const MORE: f64 = 2.0;
/// Estimates waver: so much more than is wished for is enough.
const SPARE: f64 = 1.35;
/// A trial lasts at least so long, in microseconds, and takes so many packets.
const SHORTEST: i64 = 40_000;
const LEAST_PACKETS: u32 = 5;
/// Padding is asked for in pieces of at least this: microseconds, octets.
const PIECE: i64 = 5_000;
const LEAST_PIECE: f64 = 250.0;
/// Whoever asks late gets so many pieces at once.
const MOST_PIECES: i64 = 4;
/// Whoever cannot send padding ends a trial after so many times its length.
const PATIENCE: i64 = 4;
/// Between trials, and when the wish has grown so many times, in microseconds.
const PAUSE: i64 = 5_000_000;
const SHORT_PAUSE: i64 = 1_000_000;
const GROWN: f64 = 1.5;
/// What comes in is to be calm for so long before a trial, in microseconds.
const CALM: i64 = 300_000;
/// When nothing has been heard of a trial after this time, it has failed. Microseconds.
const LONGEST_ANSWER: i64 = 1_500_000;
/// So much of a trial has to arrive.
const ARRIVES: f64 = 0.8;
/// What arrives slower than this share of how it was sent has shown a limit, of which so much is used.
const AS_FAST: f64 = 0.9;
const OF_LIMIT: f64 = 0.9;

#[derive(Default)]
pub struct Prober {
    wish: f64,
    /// The least that was wished for since it has grown.
    least: f64,
    /// Before this there is no trial.
    next: i64,
    trial: Option<Trial>,
}

struct Trial {
    /// Bit/s.
    rate: f64,
    began: i64,
    phase: Phase,
    sent: Span,
    arrived: Span,
    /// Whose fate is known.
    settled: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Padding is asked for next then.
    Sends(i64),
    /// All is sent, and the outcome is waited for until then.
    Waits(i64),
}

/// Packets of a trial, at one of its ends.
#[derive(Default)]
struct Span {
    packets: u32,
    octets: u64,
    /// The earliest and the latest, with their octets.
    first: Option<(i64, u16)>,
    last: Option<(i64, u16)>,
}

impl Span {
    fn add(&mut self, octets: u16, at: i64) {
        self.packets += 1;
        self.octets += u64::from(octets);
        if self.first.is_none_or(|(first, _)| at < first) {
            self.first = Some((at, octets));
        }
        if self.last.is_none_or(|(last, _)| at >= last) {
            self.last = Some((at, octets));
        }
    }

    /// Bit/s, if one of its ends does not count.
    fn rate(&self, without: Option<(i64, u16)>) -> Option<f64> {
        let (first, last) = (self.first?.0, self.last?.0);
        let octets = self.octets - u64::from(without?.1);
        (last > first).then(|| octets as f64 * 8e6 / (last - first) as f64)
    }
}

impl Trial {
    fn new(rate: f64, now: i64) -> Trial {
        Trial {
            rate,
            began: now,
            phase: Phase::Sends(now),
            sent: Span::default(),
            arrived: Span::default(),
            settled: 0,
        }
    }

    /// Microseconds between two pieces.
    fn piece(&self) -> i64 {
        PIECE.max((LEAST_PIECE * 8e6 / self.rate) as i64)
    }

    fn length(&self) -> i64 {
        SHORTEST.max(self.piece() * i64::from(LEAST_PACKETS))
    }

    /// Whether it still sends.
    fn sends(&mut self, now: i64) -> bool {
        let elapsed = now - self.began;
        let done = elapsed >= self.length() && self.sent.packets > LEAST_PACKETS;
        if matches!(self.phase, Phase::Sends(_)) && (done || elapsed > self.length() * PATIENCE) {
            self.phase = Phase::Waits(now + LONGEST_ANSWER);
        }
        matches!(self.phase, Phase::Sends(_))
    }

    fn padding(&mut self, now: i64) -> usize {
        if !self.sends(now) || now < self.due() {
            return 0;
        }
        let piece = self.piece();
        self.phase = Phase::Sends(now + piece);
        let octets = |micros: i64| self.rate * micros as f64 / 8e6;
        let left = octets(now - self.began + piece) - self.sent.octets as f64;
        left.clamp(0.0, octets(piece * MOST_PIECES)) as usize
    }

    fn due(&self) -> i64 {
        match self.phase {
            Phase::Sends(due) | Phase::Waits(due) => due,
        }
    }

    fn is_given_up(&self, now: i64) -> bool {
        matches!(self.phase, Phase::Waits(until) if now >= until)
    }

    /// Bit/s that it has shown, and whether that is what was tried.
    fn outcome(&self) -> Option<(f64, bool)> {
        let arrived = f64::from(self.arrived.packets);
        if self.sent.packets < LEAST_PACKETS || arrived < ARRIVES * f64::from(self.sent.packets) {
            return None;
        }
        let sent = self.sent.rate(self.sent.last)?;
        let arrived = self.arrived.rate(self.arrived.first)?;
        let shown = match arrived < AS_FAST * sent {
            true => arrived * OF_LIMIT,
            false => arrived.min(sent),
        };
        Some((shown.min(self.rate), shown >= AS_FAST * self.rate))
    }
}

impl Prober {
    pub fn aspire(&mut self, rate: u64, now: i64) {
        let wish = rate as f64 * SPARE;
        if wish > self.least * GROWN {
            self.next = self.next.min(now + SHORT_PAUSE);
            self.least = wish;
        }
        self.least = self.least.min(wish);
        self.wish = wish;
    }

    /// There is no trial for a while: it was too much already.
    pub fn stop(&mut self, now: i64) {
        self.trial = None;
        self.next = now + PAUSE;
    }

    /// There is no trial just now, until what comes in is calm.
    pub fn postpone(&mut self, now: i64) {
        self.next = self.next.max(now + CALM);
    }

    fn wants(&self, rate: f64) -> bool {
        rate < self.wish * AS_FAST
    }

    /// Octets to be sent now, when the estimate is this rate.
    pub fn padding(&mut self, rate: f64, now: i64) -> usize {
        if self.trial.as_ref().is_some_and(|trial| trial.is_given_up(now)) {
            self.stop(now);
        }
        if self.trial.is_none() && now >= self.next && self.wants(rate) {
            self.trial = Some(Trial::new((rate * MORE).min(self.wish), now));
        }
        self.trial.as_mut().map_or(0, |trial| trial.padding(now))
    }

    pub fn due(&self, rate: f64) -> Option<i64> {
        match &self.trial {
            Some(trial) => Some(trial.due()),
            None => self.wants(rate).then_some(self.next),
        }
    }

    /// Whether what leaves now belongs to a trial.
    pub fn sent(&mut self, octets: u16, now: i64) -> bool {
        let Some(trial) = self.trial.as_mut() else { return false };
        if !trial.sends(now) {
            return false;
        }
        trial.sent.add(octets, now);
        true
    }

    pub fn settled(&mut self, packet: &Packet) {
        if let Some(trial) = self.trial_of(packet)
            && packet.fate == Fate::Unknown
        {
            trial.settled += 1;
        }
    }

    pub fn arrived(&mut self, packet: &Packet, arrival: i64) {
        if let Some(trial) = self.trial_of(packet) {
            trial.arrived.add(packet.octets, arrival);
        }
    }

    fn trial_of(&mut self, packet: &Packet) -> Option<&mut Trial> {
        self.trial.as_mut().filter(|trial| packet.probes && packet.at >= trial.began)
    }

    /// Bit/s that a trial has shown, once it is over. `newest`: when the newest packet was sent whose
    /// fate is known.
    pub fn verdict(&mut self, newest: i64, now: i64) -> Option<f64> {
        let trial = self.trial.as_ref().filter(|trial| matches!(trial.phase, Phase::Waits(_)))?;
        let is_past = trial.sent.last.is_none_or(|(last, _)| newest > last);
        if !is_past && trial.settled < trial.sent.packets {
            return None;
        }
        let outcome = trial.outcome();
        self.trial = None;
        // As long as there is more than was tried, the next trial goes on.
        self.next = if outcome.is_some_and(|(_, all)| all) { now } else { now + PAUSE };
        outcome.map(|(rate, _)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_has_grown_does_not_wait() {
        let mut prober = Prober::default();
        prober.aspire(1_000_000, 0);
        prober.stop(0);
        // What is wished for wavers.
        prober.aspire(1_200_000, 0);
        prober.aspire(900_000, 0);
        assert_eq!(prober.due(500_000.0), Some(PAUSE));
        prober.aspire(100_000, 0);
        assert_eq!(prober.due(500_000.0), None);
        prober.aspire(1_000_000, 0);
        assert_eq!(prober.due(500_000.0), Some(SHORT_PAUSE));
    }

    #[test]
    fn padding_fills_a_trial_up() {
        let mut prober = Prober::default();
        prober.aspire(1_000_000, 0);
        // What is sent anyway counts: 1 Mbit/s is 625 octets in 5 ms.
        let (mut media, mut padding) = (0, 0);
        for millisecond in 0..100 {
            let now = millisecond * 1000;
            if millisecond % 10 == 0 && prober.sent(500, now) {
                media += 500;
            }
            let octets = prober.padding(500_000.0, now);
            padding += octets;
            if octets > 0 {
                assert!(prober.sent(octets as u16, now));
            }
        }
        assert!((5000..6000).contains(&(media + padding)) && padding > 2500, "{media} {padding}");
        assert!(!prober.sent(500, 100_000), "it is over");
    }

    #[test]
    fn who_asks_late_gets_no_more_for_it() {
        let mut prober = Prober::default();
        prober.aspire(10_000_000, 0);
        assert_eq!(prober.padding(4_000_000.0, 0), 5_000);
        assert_eq!(prober.padding(4_000_000.0, 100_000), 20_000);
        assert_eq!(prober.padding(4_000_000.0, 10_000_000), 0);
    }
}
