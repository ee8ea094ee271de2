//! A sender, a bottleneck with a queue, and a receiver who reports.

use std::time::{Duration, Instant};

use crate::estimator::Estimator;

const TICK: Duration = Duration::from_millis(1);
const MTU: usize = 1200;
/// A packet of sound: when, and its octets.
const SOUND: Duration = Duration::from_millis(20);
const SOUND_PACKET: usize = 150;

/// Sequence numbers, and arrivals in microseconds.
type Fates = Vec<(u16, Option<i64>)>;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// So many bit/s, whatever the estimate says.
    Fixed(u64),
    /// As much of so many bit/s as the estimate allows.
    Following(u64),
}

/// A sender and a receiver, and what is between them.
pub struct World {
    pub estimator: Estimator,
    began: Instant,
    pub now: Instant,
    dice: u64,
    pub media: Media,
    /// Pictures in a second; each goes out at once.
    pub pictures: u32,
    /// Part of what is sent is sound.
    pub sound: bool,
    debt: f64,
    next_picture: Instant,
    next_sound: Instant,
    /// Bit/s of the bottleneck, and how long its queue can become.
    pub capacity: u64,
    pub queue: Duration,
    pub way: Duration,
    pub jitter: Duration,
    /// Of a thousand packets.
    pub lost: u64,
    pub report_every: Duration,
    pub reports_lost: bool,
    next_report: Instant,
    free: Instant,
    /// Packets under way: arrival (`None` if lost) by sequence number.
    under_way: Vec<(u16, Instant, Option<Instant>)>,
    reports: Vec<(Instant, Fates)>,
    /// How much faster the receiver's clock goes, in millionths.
    pub drift: i64,
    seen: Seen,
}

/// Since it was asked for the last time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub packets: u32,
    pub lost: u32,
    pub padding: usize,
    pub octets: usize,
    pub longest_queue: Duration,
    /// How long the queue was longer than 100 ms.
    pub queued: Duration,
    pub least: u64,
    pub most: u64,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    pub fn new(first: u64, capacity: u64, media: Media) -> World {
        let now = Instant::now();
        World {
            estimator: Estimator::new(first, now),
            began: now,
            now,
            dice: 0x9e37_79b9_7f4a_7c15,
            media,
            pictures: 30,
            sound: true,
            debt: 0.0,
            next_picture: now,
            next_sound: now,
            capacity,
            queue: Duration::from_millis(300),
            way: Duration::from_millis(25),
            jitter: Duration::ZERO,
            lost: 0,
            report_every: Duration::from_millis(100),
            reports_lost: false,
            next_report: now,
            free: now,
            under_way: Vec::new(),
            reports: Vec::new(),
            drift: 0,
            seen: Seen { least: u64::MAX, ..Seen::default() },
        }
    }

    pub fn aspire(&mut self, rate: u64) {
        self.estimator.aspire(rate, self.now);
    }

    pub fn run(&mut self, seconds: f64) -> Seen {
        self.seen = Seen { least: u64::MAX, ..Seen::default() };
        let until = self.now + Duration::from_secs_f64(seconds);
        while self.now < until {
            self.now += TICK;
            self.step();
        }
        self.seen
    }

    fn step(&mut self) {
        self.send_media();
        let mut padding = self.estimator.padding(self.now);
        if let Some(due) = self.estimator.due() {
            assert!(due > self.now, "it would be asked for ever");
        }
        self.seen.padding += padding;
        while padding > 0 {
            let octets = padding.min(MTU);
            self.send(octets);
            padding -= octets;
        }
        self.report();
        let waits = self.free.saturating_duration_since(self.now);
        self.seen.longest_queue = self.seen.longest_queue.max(waits);
        if waits > Duration::from_millis(100) {
            self.seen.queued += TICK;
        }
        let rate = self.estimator.rate();
        self.seen.least = self.seen.least.min(rate);
        self.seen.most = self.seen.most.max(rate);
    }

    fn rate(&self) -> u64 {
        match self.media {
            Media::Fixed(rate) => rate,
            Media::Following(wish) => wish.min(self.estimator.rate()),
        }
    }

    fn send_media(&mut self) {
        if self.sound && self.now >= self.next_sound {
            self.next_sound += SOUND;
            self.send(SOUND_PACKET);
        }
        if self.now < self.next_picture {
            return;
        }
        self.next_picture += Duration::from_secs(1) / self.pictures;
        let sound = if self.sound { 400.0 * SOUND_PACKET as f64 } else { 0.0 };
        self.debt += (self.rate() as f64 - sound).max(0.0) / 8.0 / f64::from(self.pictures);
        // Pictures differ.
        let size = self.debt * (0.7 + 0.6 * self.chance(1000) as f64 / 1000.0);
        self.debt -= size;
        self.send_burst(size as usize);
    }

    pub fn send_burst(&mut self, octets: usize) {
        let packets = octets.div_ceil(MTU).max(1);
        for _ in 0..packets {
            self.send(octets / packets);
        }
    }

    fn send(&mut self, octets: usize) {
        let seq = self.estimator.sent(octets, self.now);
        self.seen.packets += 1;
        self.seen.octets += octets;
        let begins = self.free.max(self.now);
        let random = self.chance(1000) < self.lost;
        if random || begins > self.now + self.queue {
            self.seen.lost += 1;
            self.under_way.push((seq, begins + self.way, None));
            return;
        }
        let bits = octets as u64 * 8;
        self.free = begins + Duration::from_nanos(bits * 1_000_000_000 / self.capacity);
        let jitter = self.jitter.mul_f64(self.chance(1000) as f64 / 1000.0);
        let arrival = self.free + self.way + jitter;
        self.under_way.push((seq, arrival, Some(arrival)));
    }

    /// All up to the newest that is there; what is overtaken is lost at first.
    fn report(&mut self) {
        let now = self.now;
        if now >= self.next_report {
            self.next_report += self.report_every;
            let here =
                |packet: &(u16, Instant, Option<Instant>)| packet.1 <= now && packet.2.is_some();
            if let Some(newest) = self.under_way.iter().rposition(here) {
                let clock = |at: Instant| {
                    let micros = (at - self.began).as_micros() as i64;
                    1_234_567_890_123 + micros + micros * self.drift / 1_000_000
                };
                let fates: Fates = self.under_way[..=newest]
                    .iter()
                    .map(|(seq, _, arrival)| (*seq, arrival.filter(|at| *at <= now).map(clock)))
                    .collect();
                let mut place = 0;
                self.under_way.retain(|(_, at, _)| {
                    place += 1;
                    place > newest + 1 || *at > now
                });
                if !self.reports_lost {
                    self.reports.push((now + self.way, fates));
                }
            }
        }
        while self.reports.first().is_some_and(|(at, _)| *at <= now) {
            let (_, fates) = self.reports.remove(0);
            self.estimator.reported(fates.into_iter(), now);
        }
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % of
    }
}
