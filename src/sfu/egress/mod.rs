//! What is sent to a client, from the packet that is forwarded to the sealed datagram.
//!
//! This is where a server of conferences spends its time, so it is our own: a packet is kept as it came,
//! shared by all who get it, and written once, sealed, into the train of datagrams that leaves for one
//! client in one go.

mod clock;
mod header;
mod history;
pub mod rtcp;
pub mod srtp;
mod stream;
#[cfg(test)]
mod tests;
mod train;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::api::{Flow, LegSpec, Media, Mid, Payload, Rid};
use crate::estimator::Estimator;
use crate::peer::{Outgoing, Polled, Sending, Transport, bitstream};

use self::header::Extensions;
use self::rtcp::{Item, Reception};
use self::srtp::{Opener, Sealer};
use self::stream::Stream;
use self::train::{MAX_SEGMENTS, Train};

pub use clock::WallClock;
pub use header::{
    AUDIO_LEVEL, DEPENDENCY, MID, ORIENTATION, REPAIRED_RID, RID, SEND_TIME, TRANSPORT_CC,
};

/// How often receivers are told what they should have got (RFC 3550, section 6.2, allows every 5 s at
/// the most without a word of the bandwidth).
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// What a network is believed to carry before anything is known of it, in bit/s.
const FIRST_ESTIMATE: u64 = 1_500_000;
/// Round trips beyond this are mistakes of whoever reports them.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(30);

/// Of one leg.
pub struct Egress {
    extensions: Extensions,
    payloads: Vec<Payload>,
    wall: WallClock,
    /// Once there are keys.
    seals: Option<(Sealer, Opener)>,
    path: Option<Path>,
    streams: Vec<Stream>,
    /// All sources that there ever were.
    used: HashSet<u32>,
    queue: VecDeque<Job>,
    /// What has come of the client's reports and is to be told.
    news: VecDeque<Polled>,
    report_due: Instant,
    estimator: Option<Estimator>,
    /// The client reports on each packet, so that estimates are more than what was assumed.
    reports: bool,
    round_trip: Option<Duration>,
    octets: u64,
    now: Instant,
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// Between which addresses datagrams travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    pub transport: Transport,
    /// The address of ours.
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

impl Path {
    /// One datagram.
    pub fn single(self, contents: Vec<u8>) -> Outgoing {
        let Path { transport, source, destination } = self;
        let segment = contents.len();
        Outgoing { transport, source, destination, contents, segment }
    }
}

/// A datagram to be written; streams are called by their place.
enum Job {
    New(usize, Sending),
    /// Once more, under a number of its own.
    Repair(usize, Sending, u64),
    /// A compound of RTCP.
    Report(Vec<u8>),
}

impl Egress {
    /// `is_estimated`: whether its network is looked at.
    pub fn new(spec: &LegSpec, wall: WallClock, is_estimated: bool, now: Instant) -> Egress {
        let extensions = Extensions::new(&spec.extensions);
        Egress {
            extensions,
            payloads: spec.payloads.clone(),
            wall,
            seals: None,
            path: None,
            streams: Vec::new(),
            used: HashSet::new(),
            queue: VecDeque::new(),
            news: VecDeque::new(),
            report_due: now + REPORT_EVERY,
            estimator: is_estimated.then(|| Estimator::new(FIRST_ESTIMATE, now)),
            reports: false,
            round_trip: None,
            octets: 0,
            now,
            header: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// `false` when there is or was one of this name: under the same keys its numbers must not come
    /// again (RFC 3711, section 9.1).
    pub fn add(
        &mut self,
        source: u32,
        rtx: Option<u32>,
        media: Media,
        mid: Mid,
        rid: Option<Rid>,
    ) -> bool {
        let names = std::iter::once(source).chain(rtx);
        let is_new = !names.clone().any(|name| self.used.contains(&name));
        if is_new {
            self.used.extend(names);
            self.streams.push(Stream::new(source, rtx, media, mid, rid));
        }
        is_new
    }

    pub fn remove(&mut self, source: u32) {
        let Some(place) = self.place(source) else { return };
        self.streams.remove(place);
        // Places have moved. What is under way is lost, as it may be by any network.
        self.queue.clear();
    }

    pub fn has(&self, mid: &Mid) -> bool {
        self.streams.iter().any(|stream| stream.is_called(mid))
    }

    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub fn secure(&mut self, seals: (Sealer, Opener)) {
        self.seals = Some(seals);
    }

    pub fn lead(&mut self, path: Path) {
        self.path = Some(path);
    }

    /// To be sent with the next [`Egress::poll`]. Before there are keys and a way it is dropped.
    pub fn write(&mut self, packet: Sending) {
        if self.seals.is_some()
            && self.path.is_some()
            && let Some(place) = self.place(packet.source)
            && self.streams[place].is_first(packet.seq)
        {
            self.queue.push_back(Job::New(place, packet));
        }
    }

    /// How many bit/s would be sent if the network carried them.
    pub fn aspire(&mut self, rate: u64) {
        if let Some(estimator) = &mut self.estimator {
            estimator.aspire(rate, self.now);
        }
    }

    /// A report has come.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) {
        self.now = now;
        let Some((_, opener)) = &mut self.seals else { return };
        let Some(compound) = opener.report(datagram) else { return };
        for item in rtcp::items(&compound) {
            self.take(item);
        }
    }

    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        if self.report_due <= now {
            self.report_due = now + REPORT_EVERY;
            self.report();
        }
        self.fill();
    }

    /// When it wants to be told the time; `None`: only if something else happens.
    pub fn due(&self) -> Option<Instant> {
        if self.streams.is_empty() || self.seals.is_none() {
            return None;
        }
        let estimated = self.estimator.as_ref().and_then(Estimator::due);
        Some(estimated.map_or(self.report_due, |due| due.min(self.report_due)))
    }

    pub fn poll(&mut self) -> Option<Polled> {
        self.news.pop_front().or_else(|| self.train().map(Polled::Send))
    }

    /// Octets of payload so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// From reports of the receiver.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How what is sent arrives.
    pub fn flow(&self) -> Flow {
        let most = |one: f32, other: f32| one.max(other);
        let reported = self.streams.iter().filter_map(Stream::loss).reduce(most);
        let estimated = self.estimator.as_ref().filter(|_| self.reports).map(Estimator::loss);
        Flow {
            bitrate: 0,
            loss: reported.into_iter().chain(estimated).reduce(most),
            jitter: self.streams.iter().filter_map(Stream::jitter).max(),
        }
    }

    fn place(&self, source: u32) -> Option<usize> {
        self.streams.iter().position(|stream| stream.source == source)
    }

    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Reception(reception) => {
                let Some(place) = self.place(reception.source) else { return };
                if let Some(taken) = round_trip(&reception, self.wall.middle(self.now)) {
                    self.round_trip = Some(taken);
                }
                self.streams[place].received(reception);
            }
            Item::Nack { source, lost } => {
                let Some(place) = self.place(source) else { return };
                let repair = |seq| self.streams[place].repair(seq, self.now);
                let jobs = lost.filter_map(repair);
                self.queue.extend(jobs.map(|(packet, number)| Job::Repair(place, packet, number)));
            }
            Item::KeyframeWanted { source } => {
                let told = |known: &Polled| matches!(known, Polled::KeyframeWanted(other) if *other == source);
                if self.place(source).is_some() && !self.news.iter().any(told) {
                    self.news.push_back(Polled::KeyframeWanted(source));
                }
            }
            Item::Transport(feedback) => {
                let Some(estimator) = &mut self.estimator else { return };
                let changed = estimator.reported(feedback.fates(), self.now);
                self.reports = true;
                if let Some(rate) = changed {
                    self.news.push_back(Polled::Estimate(rate));
                }
            }
        }
    }

    fn report(&mut self) {
        for stream in &mut self.streams {
            if let Some(report) = stream.report(&self.wall, self.now) {
                let mut compound = Vec::new();
                // Each source has a name of its own: none is to be played in step with another.
                report.write(&format!("{:08x}", stream.source), &mut compound);
                self.queue.push_back(Job::Report(compound));
            }
        }
    }

    /// To see whether the network carries more, what was sent last is sent again.
    fn fill(&mut self) {
        let Some(estimator) = &mut self.estimator else { return };
        let mut octets = estimator.padding(self.now);
        for (place, stream) in self.streams.iter_mut().enumerate() {
            while octets > 0
                && self.queue.len() < MAX_SEGMENTS
                && let Some((packet, number)) = stream.repeat_last()
            {
                octets = octets.saturating_sub(packet.payload.len().max(1));
                self.queue.push_back(Job::Repair(place, packet, number));
            }
        }
    }

    fn train(&mut self) -> Option<Outgoing> {
        let path = self.path?;
        let mut train = Train::new(path.transport);
        while let Some(job) = self.queue.pop_front() {
            if !self.couple(&job, &mut train) {
                self.queue.push_front(job);
                break;
            }
            if let Job::New(place, packet) = job {
                self.octets += packet.payload.len() as u64;
                self.streams[place].sent(packet, self.now);
            }
        }
        train.leave(path)
    }

    /// Seals a datagram at the end of a train; `false` if it has to wait for the next one.
    fn couple(&mut self, job: &Job, train: &mut Train) -> bool {
        let Some((sealer, _)) = &mut self.seals else { return true };
        let (place, packet, repair) = match job {
            Job::Report(compound) => return train.take_alone(|to| sealer.report(compound, to)),
            Job::New(place, packet) => (*place, packet, None),
            Job::Repair(place, packet, number) => (*place, packet, Some(*number)),
        };
        let mut header = self.streams[place].header(packet);
        header.send_time = self.wall.send_time(self.now);
        header.transport_seq = self.estimator.is_some().then_some(0);
        if let Some(number) = repair {
            header = self.streams[place].repaired(header, number, &self.payloads);
        }
        self.header.clear();
        header.write(&self.extensions, &mut self.payload, &mut self.header);
        let payload = payload(packet, repair.is_some(), &mut self.payload);
        let length = self.header.len() + payload.len() + sealer.overhead();
        if !train.takes(length) {
            return false;
        }
        train.expect(length, self.queue.len());
        if let Some(estimator) = &mut self.estimator {
            let number = estimator.sent(length, self.now);
            self.extensions.set_transport_seq(number, &mut self.header);
        }
        let index = repair.unwrap_or(packet.seq);
        train.take(|to| sealer.packet(&self.header, payload, index, to));
        true
    }
}

/// As it came, with other numbers of its picture, or as a repair (RFC 4588, section 4).
fn payload<'a>(packet: &'a Sending, is_repair: bool, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if packet.vp8.is_none() && !is_repair {
        return &packet.payload;
    }
    scratch.clear();
    if is_repair {
        scratch.extend((packet.seq as u16).to_be_bytes());
    }
    match packet.vp8 {
        Some(numbers) => bitstream::renumber_vp8(&packet.payload, numbers, scratch),
        None => scratch.extend_from_slice(&packet.payload),
    }
    scratch
}

/// RFC 3550, section 6.4.1. `now`: the middle of the time of day.
fn round_trip(reception: &Reception, now: u32) -> Option<Duration> {
    if reception.last_report == 0 {
        return None;
    }
    let units = now.wrapping_sub(reception.last_report).wrapping_sub(reception.delay);
    let taken = Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16);
    (taken <= MAX_ROUND_TRIP).then_some(taken)
}
