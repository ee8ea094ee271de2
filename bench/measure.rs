//! Puts a load between two looks at the server's CPU time and turns it into figures.

use std::{cell::RefCell, collections::BTreeMap, fmt, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    archive::{self, KINDS},
    client::{Account, Agreed, Client},
    crowd::{self, Guest},
    histogram::Histogram,
    idle, login,
    media::Forwarding,
    pairs::{self, Flow, Load, Pair, Until},
    process::{Memory, Process, own_cpu},
    rooms::{self, Occupant, Shape},
    transfer::{File, MIB, Transfers, Watch, timed},
    visitors::Visitors,
};

/// Messages of each pair before the measured round: fills caches, opens archive files.
const WARM_UP: u32 = 20;

/// A room with more occupants is left to the server's stop.
const BIG: usize = 400;

/// A server must have come to rest before its CPU time is read.
const REST: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measurement {
    /// Messages delivered, logins or sessions.
    pub(crate) work: u64,
    pub(crate) wall_s: f64,
    pub(crate) per_wall_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_cpu_s: Option<f64>,
    pub(crate) generator_cpu_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<IdleMemory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<Pages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forwarding: Option<Forwarding>,
    /// By how much the server's resident set was larger than before, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_growth_kib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scram_iterations: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    /// Messages per second asked for.
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct IdleMemory {
    pub(crate) bytes_per_session: u64,
    pub(crate) rss_before_kib: u64,
    pub(crate) rss_after_kib: u64,
    pub(crate) anon_before_kib: u64,
    pub(crate) anon_after_kib: u64,
}

impl IdleMemory {
    /// What so many sessions have added.
    pub(crate) fn of(before: Memory, after: Memory, sessions: u64) -> Self {
        let growth = after.rss_kib.saturating_sub(before.rss_kib);
        Self {
            bytes_per_session: growth * 1024 / sessions.max(1),
            rss_before_kib: before.rss_kib,
            rss_after_kib: after.rss_kib,
            anon_before_kib: before.anon_kib,
            anon_after_kib: after.anon_kib,
        }
    }
}

/// What it is to be the last who enters a room, and what all who did cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) presences: u64,
    pub(crate) bytes: u64,
    pub(crate) ms: f64,
    /// Growth of the server's resident set since all were logged in.
    pub(crate) rss_growth_kib: u64,
}

/// Times of pages of an archive.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pages {
    /// Messages in the archive.
    pub(crate) archive: u64,
    pub(crate) kinds_ms: BTreeMap<&'static str, Latency>,
    pub(crate) four_readers_ms: Latency,
}

/// A server that was given the time for a load and did not get through.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished(pub(crate) String);

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfinished {}

/// CPU clocks of both sides at the begin of a load.
pub(crate) struct Clock {
    server: Option<(Process, Duration)>,
    generator: Duration,
}

impl Clock {
    pub(crate) async fn start(server: Option<Process>) -> Result<Self> {
        if let Some(server) = server {
            server.quiet(REST).await?;
        }
        let server = server.map(|s| Ok::<_, anyhow::Error>((s, s.cpu()?))).transpose()?;
        Ok(Self { server, generator: own_cpu() })
    }

    pub(crate) fn stop(&self, work: u64, wall: Duration) -> Result<Measurement> {
        let cpu =
            self.server.map(|(s, before)| Ok::<_, anyhow::Error>(s.cpu()? - before)).transpose()?;
        let cpu = cpu.map(|c| c.as_secs_f64());
        Ok(Measurement {
            work,
            wall_s: wall.as_secs_f64(),
            per_wall_s: work as f64 / wall.as_secs_f64(),
            server_cpu_s: cpu,
            per_cpu_s: cpu.map(|c| work as f64 / c),
            generator_cpu_s: (own_cpu() - self.generator).as_secs_f64(),
            ..Measurement::default()
        })
    }
}

/// A server to be measured and the accounts it has.
pub(crate) struct Subject {
    pub(crate) client: Client,
    /// Where those are whom messages are sent to.
    pub(crate) others: Client,
    pub(crate) accounts: Vec<Account>,
    /// Without it, only what the generator sees is measured.
    pub(crate) process: Option<Process>,
    /// Where Janus is told what to do, if it is that.
    pub(crate) videoroom: Option<SocketAddr>,
    /// Who come from other servers.
    pub(crate) visitors: Option<Visitors>,
    /// Who is in a big room stays there until the server stops: of each that leaves, all others would be told.
    pub(crate) crowd: RefCell<Vec<Occupant>>,
}

impl Subject {
    pub(crate) async fn pairs(
        &self,
        count: usize,
        flow: Flow,
        until: Until,
    ) -> Result<Measurement> {
        let pairs = self.warm_pairs(count, flow).await?;
        let clock = Clock::start(self.process).await?;
        let (pairs, round) = pairs::round(pairs, Load::Full(until)).await?;
        let measured = clock.stop(round.messages, round.wall)?;
        pairs::close(pairs).await;
        Ok(measured)
    }

    /// `rate` is in messages per second of all pairs together; without one, half of what a short run reaches.
    pub(crate) async fn latency(
        &self,
        count: usize,
        flow: Flow,
        rate: Option<f64>,
        time: Duration,
    ) -> Result<Measurement> {
        let mut pairs = self.warm_pairs(count, flow).await?;
        let rate = match rate {
            Some(rate) => rate,
            None => {
                let probe;
                (pairs, probe) = pairs::round(pairs, Load::Full(Until::Time(time / 4))).await?;
                probe.messages as f64 / probe.wall.as_secs_f64() / 2.0
            }
        };
        let clock = Clock::start(self.process).await?;
        let load = Load::Paced { rate: rate / count as f64, time };
        let (pairs, round) = pairs::round(pairs, load).await?;
        let measured = clock.stop(round.messages, round.wall)?;
        pairs::close(pairs).await;
        Ok(Measurement { latency_ms: Some(Latency::of(rate, &round.latency)), ..measured })
    }

    async fn warm_pairs(&self, count: usize, flow: Flow) -> Result<Vec<Pair>> {
        let pairs = pairs::open(&self.client, &self.others, &self.accounts, count, flow).await?;
        Ok(pairs::round(pairs, Load::Full(Until::Count(WARM_UP))).await?.0)
    }

    pub(crate) async fn rooms(&self, shape: Shape, until: Until) -> Result<Measurement> {
        let rooms = self.warm_rooms(shape).await?;
        let clock = Clock::start(self.process).await?;
        let (rooms, round) = rooms::round(rooms, Load::Full(until)).await?;
        let measured = clock.stop(round.deliveries, round.wall)?;
        self.leave(rooms).await;
        Ok(measured)
    }

    /// Delivery time at half of what a short run reaches, but at no more than `most` deliveries a second.
    pub(crate) async fn room_latency(
        &self,
        shape: Shape,
        most: f64,
        time: Duration,
    ) -> Result<Measurement> {
        let rooms = self.warm_rooms(shape).await?;
        let (rooms, probe) = rooms::round(rooms, Load::Full(Until::Time(time / 4))).await?;
        let rate = (probe.deliveries as f64 / probe.wall.as_secs_f64() / 2.0).min(most);
        let clock = Clock::start(self.process).await?;
        let said = rate / shape.occupants as f64 / (shape.talkers * shape.rooms) as f64;
        let (rooms, round) = rooms::round(rooms, Load::Paced { rate: said, time }).await?;
        let measured = clock.stop(round.deliveries, round.wall)?;
        self.leave(rooms).await;
        Ok(Measurement { latency_ms: Some(Latency::of(rate, &round.latency)), ..measured })
    }

    async fn warm_rooms(&self, shape: Shape) -> Result<Vec<Occupant>> {
        let mut rooms = self.crowd.take();
        if rooms.len() != shape.rooms * shape.occupants {
            rooms = rooms::open(&self.client, &self.accounts, shape, rooms::FLOW).await?;
        }
        let few = Load::Full(Until::Count(rooms::FLOW.window));
        Ok(rooms::round(rooms, few).await?.0)
    }

    async fn leave(&self, rooms: Vec<Occupant>) {
        if rooms.len() > BIG {
            self.crowd.replace(rooms);
        } else {
            rooms::close(rooms).await;
        }
    }

    /// Many enter one room, and then one more, alone.
    pub(crate) async fn join(&self, shape: Shape) -> Result<Measurement> {
        let room = rooms::address(&self.client);
        let accounts = self.accounts.get(..shape.occupants).context("too few accounts")?;
        let mut peers = crowd::log_in(&self.client, accounts, &room).await?;
        let last = peers.pop().context("nobody enters")?;
        let clock = Clock::start(self.process).await?;
        let begin = tokio::time::Instant::now();
        let memory = self.process.map(Process::memory).transpose()?;
        let guests = crowd::fill(&room, peers, shape.broadcast).await?;
        let measured = clock.stop(guests.len() as u64, begin.elapsed())?;
        let guests = crowd::admit(&room, guests, last, shape.broadcast).await?;
        let now = self.process.map(Process::memory).transpose()?;
        let growth = memory.zip(now).map_or(0, |(b, a)| a.rss_kib.saturating_sub(b.rss_kib));
        let entry = guests.last().map(|guest| Entry::of(guest, growth));
        self.crowd.replace(rooms::seat(&room, guests, shape.talkers, rooms::FLOW)?);
        Ok(Measurement { entry, ..measured })
    }

    /// Pages out of the archive of the first account, which is filled first.
    pub(crate) async fn pages(&self, messages: u64, time: Duration) -> Result<Measurement> {
        let archive = Rc::new(archive::fill(&self.client, &self.accounts, messages).await?);
        let owner = self.accounts.first().context("no accounts")?;
        let read = |readers, time| archive::read(&self.client, owner, &archive, readers, time);
        read(1, time / 4).await?;
        let clock = Clock::start(self.process).await?;
        let alone = read(1, time).await?;
        let measured = clock.stop(alone.pages, alone.wall)?;
        let together = read(4, time).await?;
        let latency = |read: &archive::Read, times: &Histogram| {
            Latency::of(read.pages as f64 / read.wall.as_secs_f64(), times)
        };
        let kinds = KINDS.iter().zip(&alone.kinds);
        let pages = Pages {
            archive: archive.messages,
            kinds_ms: kinds.map(|(kind, times)| (kind.name(), latency(&alone, times))).collect(),
            four_readers_ms: latency(&together, &together.all()),
        };
        let latency_ms = Some(latency(&alone, &alone.all()));
        Ok(Measurement { latency_ms, pages: Some(pages), ..measured })
    }

    /// Uploads the files, in MiB.
    pub(crate) async fn upload(&self, files: &[File], at_once: usize) -> Result<Measurement> {
        let account = self.accounts.first().context("no accounts")?;
        let mut transfers = Transfers::open(&self.client, account).await?;
        // What a first upload needs once is not what uploads need.
        transfers.upload(&[File { bytes: MIB, seed: 0x5eed }], 1).await?;
        let (clock, watch, before) = self.watched().await?;
        let (_, wall) = timed(transfers.upload(files, at_once)).await?;
        let mib = files.iter().map(|file| file.bytes).sum::<u64>() / MIB;
        let measured = clock.stop(mib, wall)?;
        transfers.close().await?;
        let peak_growth_kib = watch.map(|watch| watch.highest().saturating_sub(before));
        Ok(Measurement { peak_growth_kib, ..measured })
    }

    /// Downloads a file that was uploaded before, in MiB.
    pub(crate) async fn download(&self, file: File) -> Result<Measurement> {
        let account = self.accounts.first().context("no accounts")?;
        let mut transfers = Transfers::open(&self.client, account).await?;
        let addresses = transfers.upload(&[file], 1).await?;
        let from = addresses.first().context("not uploaded")?;
        let (clock, watch, before) = self.watched().await?;
        let ((), wall) = timed(transfers.download(from)).await?;
        let measured = clock.stop(file.bytes / MIB, wall)?;
        transfers.close().await?;
        let peak_growth_kib = watch.map(|watch| watch.highest().saturating_sub(before));
        Ok(Measurement { peak_growth_kib, ..measured })
    }

    async fn watched(&self) -> Result<(Clock, Option<Watch>, u64)> {
        let clock = Clock::start(self.process).await?;
        let before = self.process.map(Process::memory).transpose()?.unwrap_or_default();
        Ok((clock, self.process.map(Watch::start), before.rss_kib))
    }

    pub(crate) async fn login(&self, concurrency: usize, time: Duration) -> Result<Measurement> {
        let accounts = &self.accounts[..concurrency.min(self.accounts.len())];
        login::warm_up(&self.client, accounts).await?;
        let clock = Clock::start(self.process).await?;
        let logins = login::run(&self.client, accounts, time).await?;
        let Agreed { iterations, tls } = logins.agreed;
        let measured = clock.stop(logins.count, logins.wall)?;
        Ok(Measurement { scram_iterations: Some(iterations), tls: Some(tls), ..measured })
    }

    /// Streams of other servers that do nothing.
    pub(crate) async fn visits(&self, count: usize) -> Result<Measurement> {
        let visitors = self.visitors.as_ref().context("nobody may come from elsewhere")?;
        let process = self.process.context("memory cannot be read without the server's --pid")?;
        process.quiet(REST).await?;
        let clock = Clock::start(self.process).await?;
        let before = process.memory()?;
        let (streams, opening) = timed(visitors.visit(count)).await?;
        process.quiet(REST).await?;
        let memory = IdleMemory::of(before, process.memory()?, count as u64);
        let measured = clock.stop(count as u64, opening)?;
        drop(streams);
        Ok(Measurement { memory: Some(memory), ..measured })
    }

    /// The first `accounts` take turns.
    pub(crate) async fn idle(&self, accounts: usize, sessions: usize) -> Result<Measurement> {
        let process = self.process.context("memory cannot be read without the server's --pid")?;
        let clock = Clock::start(self.process).await?;
        let accounts = &self.accounts[..accounts.min(self.accounts.len())];
        let idle = idle::run(&self.client, accounts, sessions, process).await?;
        let memory = IdleMemory::of(idle.before, idle.after, idle.sessions as u64);
        Ok(Measurement { memory: Some(memory), ..clock.stop(idle.sessions as u64, idle.opening)? })
    }
}

impl Entry {
    fn of(guest: &Guest, rss_growth_kib: u64) -> Self {
        let told = guest.told;
        Self {
            presences: told.presences,
            bytes: told.bytes,
            ms: told.entry.as_secs_f64() * 1000.0,
            rss_growth_kib,
        }
    }
}

impl Latency {
    pub(crate) fn of(rate: f64, histogram: &Histogram) -> Self {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        Self {
            rate,
            p50: ms(histogram.percentile(0.5)),
            p95: ms(histogram.percentile(0.95)),
            p99: ms(histogram.percentile(0.99)),
            max: ms(histogram.max()),
        }
    }
}
